"""`manage.py alipay_check` against a real gateway process: it names what is wrong, and sends only a query."""

import shutil
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from payments.domain.trades import attempts
from payments.gateways import ConfiguredGateways, get_gateways
from payments.models import Payment
from payments.states import ClosedReason, PaymentStatus, Product
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.payments.alipay_side import make_gateway
from tests.payments.simulator.process import APP_ID, SELLER_ID, Simulator

pytestmark = pytest.mark.django_db
Check = Callable[..., str]
SECOND_APP, SECOND_SELLER = "2021000000000002", "2088000000000002"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("check"))
    simulator.add_merchant(SECOND_APP, SECOND_SELLER)
    simulator.start()
    yield simulator
    simulator.stop()
    simulator.http.close()


@pytest.fixture
def check(running: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    keys = running.state / "keys" / APP_ID

    def run(out: StringIO | None = None, **changes: object) -> str:
        config = {
            **settings.ALIPAY,
            "GATEWAY_URL": f"{running.url}/gateway.do",
            "APP_ID": APP_ID,
            "SELLER_ID": SELLER_ID,
            "APP_PRIVATE_KEY_PATH": str(keys / "app_private_key.pem"),
            "PUBLIC_KEY_PATHS": [str(keys / "alipay_public_key.pem")],
            "FORMER_APPS": [],
        }
        monkeypatch.setattr(settings, "ALIPAY", config | changes)
        get_gateways.cache_clear()
        told = out or StringIO()
        call_command("alipay_check", stdout=told)
        return told.getvalue()

    yield run
    get_gateways.cache_clear()


@pytest.fixture(scope="module")
def strange_key(running: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private key of another app."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    folder = tmp_path_factory.mktemp("strange")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "private.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "public.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return folder


def test_right_keys(check: Check, running: Simulator) -> None:
    assert f"Alipay answers app {APP_ID} (ACQ.TRADE_NOT_EXIST)" in check()
    [request] = running.control("GET", "/requests?limit=1")["requests"]
    assert request["method"] == "alipay.trade.query"


def test_wrong_app_key(check: Check, strange_key: Path) -> None:
    with pytest.raises(CommandError, match=r"isv\.invalid-signature: the private key isn't the app's"):
        check(APP_PRIVATE_KEY_PATH=str(strange_key / "private.pem"))


def test_wrong_alipay_key(check: Check, strange_key: Path) -> None:
    with pytest.raises(CommandError, match="the answer's signature is wrong"):
        check(PUBLIC_KEY_PATHS=[str(strange_key / "public.pem")])


def test_wrong_app_id(check: Check) -> None:
    with pytest.raises(
        CommandError,
        match=(
            r"(?s)unsigned error 40002 isv\.invalid-app-id.*isv\.invalid-app-id: the app id isn't "
            r"this gateway's"
        ),
    ):
        check(APP_ID="2021000000009999")


def test_unreachable_gateway(check: Check) -> None:
    with pytest.raises(CommandError, match="doesn't prove the configuration: ConnectError"):
        check(GATEWAY_URL="http://127.0.0.1:9/gateway.do")


def test_nothing_configured(check: Check) -> None:
    with pytest.raises(CommandError, match="isn't configured: ALIPAY_APP_ID"):
        check(APP_ID="")


def test_key_file_that_cannot_be_read(check: Check, tmp_path: Path) -> None:
    shutil.copy(__file__, tmp_path / "key.pem")
    with pytest.raises(CommandError, match="ALIPAY_APP_PRIVATE_KEY_PATH"):
        check(APP_PRIVATE_KEY_PATH=str(tmp_path / "key.pem"))


# --- Several apps -------------------------------------------------------------------------------------------


@pytest.fixture
def second_app(running: Simulator) -> dict[str, object]:
    keys = running.state / "keys" / SECOND_APP
    return {
        "APP_ID": SECOND_APP,
        "SELLER_ID": SECOND_SELLER,
        "APP_PRIVATE_KEY_PATH": str(keys / "app_private_key.pem"),
        "PUBLIC_KEY_PATHS": [str(keys / "alipay_public_key.pem")],
    }


def test_every_app_is_proven(check: Check, second_app: dict[str, object]) -> None:
    answer = check(FORMER_APPS=[second_app])
    for app_id in (APP_ID, SECOND_APP):
        assert f"Alipay answers app {app_id} (ACQ.TRADE_NOT_EXIST)" in answer


def test_wrong_key_of_a_former_app_is_found_and_the_others_are_still_proven(
    check: Check, second_app: dict[str, object], strange_key: Path
) -> None:
    out = StringIO()
    with pytest.raises(CommandError, match=f"app {SECOND_APP}: .*signature is wrong"):
        check(out, FORMER_APPS=[{**second_app, "PUBLIC_KEY_PATHS": [str(strange_key / "public.pem")]}])
    assert f"Alipay answers app {APP_ID}" in out.getvalue()


# --- Payments of apps that aren't configured ----------------------------------------------------------------


def make_payment(*, app_id: str = SECOND_APP, **changes: object) -> Payment:
    """An attempt made with this Alipay app."""
    gateways = ConfiguredGateways(make_gateway(app_id=app_id))
    order = make_order(make_buyer(), make_course("80.00"))
    payment = attempts.open_payment(
        order=order, product=Product.PAGE, gateways=gateways, now=NOW, cause="test"
    )
    if changes:
        Payment.objects.filter(pk=payment.pk).update(**changes)
    return payment


def test_open_payment_of_an_app_that_is_not_configured_is_named(
    check: Check, second_app: dict[str, object]
) -> None:
    make_payment()
    with pytest.raises(CommandError, match=rf"1 payment of alipay app {SECOND_APP} .*ALIPAY_FORMER_APPS"):
        check()
    assert f"Alipay answers app {SECOND_APP}" in check(FORMER_APPS=[second_app])


def test_closed_payment_that_is_still_queried_counts_as_open(check: Check) -> None:
    payment = make_payment(status=PaymentStatus.CLOSED, closed_at=NOW, closed_reason=ClosedReason.NEVER_PAID)
    with pytest.raises(CommandError, match=SECOND_APP):
        check()
    Payment.objects.filter(pk=payment.pk).update(available_at=None)
    assert SECOND_APP not in check()


def test_paid_payment_that_could_be_refunded_is_pointed_out_and_is_no_failure(check: Check) -> None:
    payment = make_payment(status=PaymentStatus.PAID, paid_at=NOW, trade_no="1", available_at=None)
    assert f"1 paid payment of alipay app {SECOND_APP} can't be refunded" in check()
    Payment.objects.filter(pk=payment.pk).update(refund_committed="80.00", refunded_amount="80.00")
    assert SECOND_APP not in check()


def test_payment_of_a_configured_app_is_not_reported(check: Check) -> None:
    make_payment(app_id=APP_ID)
    assert "payment" not in check()
