"""`manage.py alipay_check` against a real gateway process: says what is wrong, and sends nothing but a query."""

import shutil
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from payments.gateways import get_gateways
from tests.payments.simulator.process import APP_ID, SELLER_ID, Simulator

Check = Callable[..., str]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(tmp_path_factory.mktemp("check"))
    simulator.start()
    yield simulator
    simulator.stop()
    simulator.http.close()


@pytest.fixture
def check(running: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    keys = running.state / "keys" / APP_ID

    def run(**changes: object) -> str:
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
        out = StringIO()
        call_command("alipay_check", stdout=out)
        return out.getvalue()

    yield run
    get_gateways.cache_clear()


@pytest.fixture(scope="module")
def strange_key(running: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private key of another app."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    folder = tmp_path_factory.mktemp("strange")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (folder / "private.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "public.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
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
        CommandError, match=r"(?s)unsigned error 40002 isv\.invalid-app-id.*isv\.invalid-app-id: the app id isn't this gateway's"
    ):
        check(APP_ID="2021000000009999")


def test_gateway_that_is_not_there(check: Check) -> None:
    with pytest.raises(CommandError, match="doesn't prove the configuration: URLError"):
        check(GATEWAY_URL="http://127.0.0.1:9/gateway.do")


def test_nothing_configured(check: Check) -> None:
    with pytest.raises(CommandError, match="isn't configured: ALIPAY_APP_ID"):
        check(APP_ID="")


def test_key_file_that_cannot_be_read(check: Check, tmp_path: Path) -> None:
    shutil.copy(__file__, tmp_path / "key.pem")
    with pytest.raises(CommandError, match="ALIPAY_APP_PRIVATE_KEY_PATH"):
        check(APP_PRIVATE_KEY_PATH=str(tmp_path / "key.pem"))
