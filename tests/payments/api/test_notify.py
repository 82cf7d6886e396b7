"""`POST payments/alipay/notify/` and the return from the cashier."""

import json
from pathlib import Path

import pytest
import redis
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.test import Client
from pytest_django import Settings

from payments.api.notify import MAX_BODY_BYTES
from payments.gateways import get_gateways
from payments.gateways.alipay.config import APP_SETTINGS
from payments.gateways.alipay.wire import MAX_FIELDS
from payments.models import Notification, Payment
from payments.tasks import apply_notifications
from shop.wakeup import settle
from tests.factories import make_buyer, make_course, make_order
from tests.payments.alipay_side import APP_ID, SELLER_ID, encoded, key, notification, signed_form
from tests.payments.settle import make_payment, notify
from tests.shop.test_wakeup import messages
from tests.unchanged import nothing_changes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alipay_settings")]
URL = "/api/v1/payments/alipay/notify/"
RETURN_URL = "/api/v1/payments/alipay/return/"
# What Alipay sends.
FORM_TYPE = "application/x-www-form-urlencoded; text/html; charset=UTF-8"


@pytest.fixture
def payment() -> Payment:
    return make_payment(make_order(make_buyer(), make_course("80.00")), get_gateways().current)


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True, raise_request_exception=False)


def post(client: Client, body: str | bytes, content_type: str = FORM_TYPE) -> tuple[int, bytes]:
    answer = client.generic("POST", URL, body, content_type=content_type, CONTENT_TYPE=content_type)
    assert settle()
    assert answer["Content-Type"].split(";")[0] == "text/plain"
    return answer.status_code, answer.content


def test_it_works(client: Client, payment: Payment, broker_valkey: redis.Redis) -> None:
    form = notification(payment)
    assert post(client, encoded(form)) == (200, b"success")
    assert Notification.objects.get().fields == form
    assert messages(broker_valkey, "payments") == [("payments.apply_notifications", "{}")]
    apply_notifications()
    payment.refresh_from_db()
    assert payment.status == "paid"


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "APPLICATION/X-WWW-FORM-URLENCODED;charset=utf-8"]
)
def test_well_formed_content_types_are_taken_too(client: Client, payment: Payment, content_type: str) -> None:
    assert post(client, encoded(notification(payment)), content_type) == (200, b"success")


def test_repeat_is_answered_alike_and_is_one_row(client: Client, payment: Payment) -> None:
    for _ in range(3):
        assert post(client, encoded(notification(payment))) == (200, b"success")
    assert Notification.objects.count() == 1


def test_unknown_trade_is_stored_for_staff_and_acknowledged(client: Client, payment: Payment) -> None:
    assert post(client, encoded(notification(payment, out_trade_no="UNKNOWN"))) == (200, b"success")
    apply_notifications()
    assert Notification.objects.values_list("status", "reason").get() == ("quarantined", "unknown_trade")


def test_forgery_is_refused(client: Client, payment: Payment) -> None:
    with nothing_changes():
        assert post(client, encoded({**notification(payment), "total_amount": "0.01"})) == (400, b"fail")


def test_json_is_refused(client: Client, payment: Payment) -> None:
    with nothing_changes():
        assert post(client, json.dumps(notification(payment)), "application/json") == (415, b"fail")


def test_no_content_type_is_refused(client: Client, payment: Payment) -> None:
    with nothing_changes():
        assert post(client, encoded(notification(payment)), "") == (415, b"fail")


def test_too_large_a_body_is_refused(client: Client, payment: Payment) -> None:
    with nothing_changes():
        assert post(client, "a=" + "x" * MAX_BODY_BYTES) == (413, b"fail")


BODIES: dict[str, str | bytes] = {
    "empty": "",
    "no form": "hello",
    "too many fields": "&".join(f"f{number}=1" for number in range(MAX_FIELDS + 1)),
    "field twice": "a=1&a=2",
    "NUL": "a=%00",
    "not UTF-8": "a=%ff",
    "raw bytes": "a=课".encode(),
    "nothing signed": "a=1",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_other_body_is_refused(client: Client, body: str | bytes) -> None:
    with nothing_changes():
        assert post(client, body) == (400, b"fail")


def test_field_given_twice_is_refused_though_one_of_them_is_signed(client: Client, payment: Payment) -> None:
    with nothing_changes():
        assert post(client, "total_amount=0.01&" + encoded(notification(payment))) == (400, b"fail")


def test_gbk_is_refused(client: Client, payment: Payment) -> None:
    from urllib.parse import urlencode

    with nothing_changes():
        assert post(client, urlencode(notification(payment), encoding="gbk")) == (400, b"fail")


def test_get_is_refused(client: Client) -> None:
    with nothing_changes():
        assert client.get(URL).status_code == 405


def test_without_a_configuration_alipay_is_asked_to_come_again(
    client: Client, payment: Payment, alipay_settings: Settings
) -> None:
    body = encoded(notification(payment))
    alipay_settings.ALIPAY = {**alipay_settings.ALIPAY, "APP_ID": ""}
    get_gateways.cache_clear()
    with nothing_changes():
        answer = client.generic("POST", URL, body, content_type=FORM_TYPE)
    assert (answer.status_code, answer.content == b"success") == (503, False)


def change_app(settings: Settings, folder: Path, *, keeps_former: bool) -> None:
    """The shop gets another app of the same merchant, with keys of its own."""
    former = {name: settings.ALIPAY[name] for name in APP_SETTINGS}
    (folder / "new_app.pem").write_bytes(
        key("new app").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    public = key("new alipay").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "new_alipay.pem").write_bytes(public)
    settings.ALIPAY = {
        **settings.ALIPAY,
        "APP_ID": "2021000000000009",
        "APP_PRIVATE_KEY_PATH": str(folder / "new_app.pem"),
        "PUBLIC_KEY_PATHS": [str(folder / "new_alipay.pem")],
        "FORMER_APPS": [former] if keeps_former else [],
    }
    get_gateways.cache_clear()


def test_payment_of_a_former_app_is_paid_and_the_buyer_comes_back(
    client: Client, payment: Payment, alipay_settings: Settings, tmp_path: Path
) -> None:
    change_app(alipay_settings, tmp_path, keeps_former=True)
    assert (
        client.get(RETURN_URL, coming_back(payment))["Location"] == f"/orders/{payment.order.order_number}/"
    )
    assert post(client, encoded(notification(payment))) == (200, b"success")
    apply_notifications()
    payment.refresh_from_db()
    assert (payment.status, payment.app_id) == ("paid", APP_ID)


def test_without_the_former_apps_keys_its_notifications_are_not_applied(
    client: Client, payment: Payment, alipay_settings: Settings, tmp_path: Path
) -> None:
    change_app(alipay_settings, tmp_path, keeps_former=False)
    with nothing_changes():
        assert post(client, encoded(notification(payment))) == (400, b"fail")


def test_wake_up_that_cannot_be_sent_does_not_matter(
    client: Client, payment: Payment, valkey: redis.Redis
) -> None:
    valkey.set("wake:payments.apply_notifications", "1")
    assert post(client, encoded(notification(payment))) == (200, b"success")
    assert Notification.objects.get().available_at is not None


# --- The way back -------------------------------------------------------------------------------------------


def coming_back(payment: Payment, **changes: str) -> dict[str, str]:
    fields = {
        "charset": "utf-8",
        "out_trade_no": payment.out_trade_no,
        "method": "alipay.trade.page.pay.return",
        "total_amount": str(payment.amount),
        "app_id": APP_ID,
        "seller_id": SELLER_ID,
        "trade_no": "2026030222001400000000000007",
        "timestamp": "2026-03-02 12:01:10",
        "version": "1.0",
        "auth_app_id": APP_ID,
    }
    return {**signed_form(fields), **changes}


def test_return_triggers_a_query_and_shows_the_order(
    client: Client, payment: Payment, broker_valkey: redis.Redis
) -> None:
    answer = client.get(RETURN_URL, coming_back(payment))
    assert settle()
    assert (answer.status_code, answer["Location"]) == (302, f"/orders/{payment.order.order_number}/")
    assert messages(broker_valkey, "gateway") == [("payments.query_payments", "{}")]
    payment.refresh_from_db()
    assert payment.status == "open"


def test_forged_return_shows_the_orders_and_changes_nothing(client: Client, payment: Payment) -> None:
    with nothing_changes():
        answer = client.get(RETURN_URL, coming_back(payment, total_amount="0.01"))
    assert (answer.status_code, answer["Location"]) == (302, "/orders/")


def test_return_of_an_unknown_trade_shows_the_orders(client: Client, payment: Payment) -> None:
    payment.out_trade_no = "OTHER"
    with nothing_changes():
        answer = client.get(RETURN_URL, coming_back(payment))
    assert answer["Location"] == "/orders/"


def test_return_never_pays(client: Client, payment: Payment) -> None:
    client.get(RETURN_URL, coming_back(payment))
    payment.order.refresh_from_db()
    assert payment.order.status == "awaiting_payment"


def test_return_after_the_payment_is_quiet(client: Client, payment: Payment) -> None:
    notify(get_gateways().current, payment)
    assert client.get(RETURN_URL, coming_back(payment)).status_code == 302
