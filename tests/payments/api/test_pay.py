"""`/pay/<token>/`: the order's stable link."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.http import HttpResponseRedirect
from django.test import Client
from pytest_django import Settings

from payments.api import pay as pay_api
from payments.domain.trades import attempts, inbox, polling
from payments.gateways import ConfiguredGateways, get_gateways
from payments.gateways.protocol import GatewayUnreachable
from payments.models import Payment
from payments.states import ClosedReason, PaymentStatus, Product
from shop import clock
from shop.domain.orders.paylinks import pay_url
from shop.models import Order
from shop.states import OrderStatus
from tests.clients import Api, answered
from tests.factories import make_buyer, make_course, make_order
from tests.payments import settle
from tests.payments.memorygateway import Fault, MemoryGateway
from tests.payments.order_scenario import columns, notify
from tests.unchanged import nothing_changes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alipay_settings")]


@pytest.fixture
def order() -> Order:
    return make_order(make_buyer(), make_course("80.00"), now=clock.now())


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryGateway:
    """Replaces the configured gateway."""
    gateway = MemoryGateway(clock.now)
    monkeypatch.setattr(pay_api, "get_gateways", lambda: ConfiguredGateways(gateway))
    monkeypatch.setattr(HttpResponseRedirect, "allowed_schemes", ["http", "https", "memory"])
    return gateway


def path_of(order: Order) -> str:
    return urlsplit(pay_url(order.order_number)).path


def test_it_works(client: Client, order: Order) -> None:
    answer = client.get(path_of(order))
    payment = Payment.objects.get()
    assert answer.status_code == 302
    assert answer["Location"].startswith("http://127.0.0.1:9/gateway.do?")
    assert payment.out_trade_no in answer["Location"]
    assert "no-store" in answer["Cache-Control"]


def test_opened_twice_it_is_the_same_attempt(client: Client, order: Order, memory: MemoryGateway) -> None:
    first = client.get(path_of(order))["Location"]
    with nothing_changes():
        assert client.get(path_of(order))["Location"] == first
    assert memory.calls == ["query"]


def test_paid_order_is_never_sent_to_alipay(client: Client, order: Order, memory: MemoryGateway) -> None:
    """Its notification got lost: the link queries and finds the payment."""
    client.get(path_of(order))
    memory.pay(Payment.objects.get().out_trade_no)
    assert client.get(path_of(order))["Location"] == f"/orders/{order.order_number}/"
    order.refresh_from_db()
    assert order.status == OrderStatus.PAID


def test_link_does_not_lead_to_alipay_while_the_state_is_unknown(
    client: Client, order: Order, memory: MemoryGateway
) -> None:
    client.get(path_of(order))
    memory.pay(Payment.objects.get().out_trade_no)
    memory.faults = [Fault.LOST_BEFORE]
    with nothing_changes():
        assert client.get(path_of(order))["Location"] == f"/orders/{order.order_number}/?pay=confirming"


@pytest.mark.django_db(transaction=True)
def test_order_is_being_confirmed_from_the_return_to_the_answer(
    client: Client, order: Order, memory: MemoryGateway
) -> None:
    api = Api(order.account)
    api_url = f"/api/v1/orders/{order.order_number}/"
    client.get(path_of(order))
    payment = Payment.objects.get()
    before = api.get(api_url)
    assert (answered(before)["payment_state"], answered(before)["pay_url"] is None) == ("payable", False)

    inbox.note_return(out_trade_no=payment.out_trade_no, now=clock.now())
    after = api.get(api_url, headers={"If-None-Match": before["ETag"]})
    assert (answered(after)["status"], answered(after)["payment_state"], answered(after)["pay_url"]) == (
        "awaiting_payment",
        "confirming",
        None,
    )
    payment.refresh_from_db()
    assert payment.available_at is not None
    assert payment.available_at <= clock.now()

    memory.faults = [Fault.LOST_BEFORE]
    with pytest.raises(GatewayUnreachable):
        polling.query_payment(payment.pk, gateways=ConfiguredGateways(memory), now=clock.now(), cause="test")
    assert answered(api.get(api_url))["payment_state"] == "confirming"
    polling.query_payment(payment.pk, gateways=ConfiguredGateways(memory), now=clock.now(), cause="test")
    assert answered(api.get(api_url))["payment_state"] == "payable"


def test_closed_trade_ends_the_confirming(client: Client, order: Order, memory: MemoryGateway) -> None:
    """From any source: here a notification, before any query."""
    client.get(path_of(order))
    payment = Payment.objects.get()
    memory.scan(payment.out_trade_no)
    inbox.note_return(out_trade_no=payment.out_trade_no, now=clock.now())
    order.refresh_from_db()
    assert order.confirming_since is not None
    notify(memory, payment, now=clock.now(), trade_status="closed")
    assert columns(order, "status", "confirming_since") == (OrderStatus.AWAITING_PAYMENT, None)


def test_return_of_an_unpayable_attempt_confirms_nothing(
    client: Client, order: Order, memory: MemoryGateway
) -> None:
    client.get(path_of(order))
    Payment.objects.update(
        status=PaymentStatus.CLOSED,
        closed_reason=ClosedReason.NEVER_PAID,
        closed_at=clock.now(),
        available_at=None,
    )
    with nothing_changes():
        inbox.note_return(out_trade_no=Payment.objects.get().out_trade_no, now=clock.now())


IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like "
    "Gecko) Version/18.0 Mobile/15E148 Safari/604.1"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Mobile Safari/537.36"
)
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36"
)


@pytest.mark.parametrize(
    ("headers", "query", "product"),
    [
        ({"User-Agent": IPHONE}, "", "wap"),
        ({"User-Agent": ANDROID}, "", "wap"),
        ({"User-Agent": IPHONE + " MicroMessenger/8.0.50"}, "", "wap"),
        ({"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", "Sec-CH-UA-Mobile": "?1"}, "", "wap"),
        ({"User-Agent": WINDOWS}, "", "page"),
        ({"User-Agent": WINDOWS, "Sec-CH-UA-Mobile": "?0"}, "", "page"),
        ({}, "", "page"),
        ({"User-Agent": IPHONE}, "?product=page", "page"),
        ({"User-Agent": WINDOWS}, "?product=wap", "wap"),
        ({"User-Agent": WINDOWS}, "?product=qr", "page"),
    ],
)
def test_phone_gets_the_phones_cashier(
    client: Client, order: Order, memory: MemoryGateway, headers: dict[str, str], query: str, product: str
) -> None:
    location = client.get(path_of(order) + query, headers=headers)["Location"]
    assert (location, Payment.objects.get().product) == (
        f"memory://{product}/{order.order_number}P1",
        product,
    )


def test_preview_of_the_link_ends_no_attempt(client: Client, order: Order, memory: MemoryGateway) -> None:
    """A chat's bot opens the link while the buyer looks at a code."""
    started = attempts.start_payment(
        order=order, product=Product.QR, gateways=ConfiguredGateways(memory), now=clock.now(), cause="test"
    )
    with nothing_changes():
        page = client.get(path_of(order))
        assert (page.status_code, page.templates[0].name) == (200, "storefront/pay.html")
    assert "换用电脑网站支付" in page.content.decode()
    assert Payment.objects.get(status=PaymentStatus.OPEN) == started.payment

    changed = client.post(path_of(order))
    assert changed.status_code == 200
    assert f"memory://page/{order.order_number}P1" in changed.content.decode()
    assert list(Payment.objects.values_list("status", "product")) == [("open", "page")]


def test_link_that_a_robot_opened_first_still_leads_a_phone_to_its_cashier(
    client: Client, order: Order, memory: MemoryGateway
) -> None:
    """No buyer has used the first cashier, so its attempt moves to the other one."""
    client.get(path_of(order), headers={"User-Agent": "Twitterbot/1.0"})
    assert (
        client.get(path_of(order), headers={"User-Agent": IPHONE})["Location"]
        == f"memory://wap/{order.order_number}P1"
    )
    assert Payment.objects.get().product == Product.WAP


def test_phone_ends_no_attempt_that_is_in_use_on_a_computer(
    client: Client, order: Order, memory: MemoryGateway
) -> None:
    client.get(path_of(order))
    memory.scan(Payment.objects.get().out_trade_no)
    with nothing_changes():
        assert client.get(path_of(order), headers={"User-Agent": IPHONE}).status_code == 200


def test_button_needs_its_own_page(order: Order, memory: MemoryGateway) -> None:
    with nothing_changes():
        assert Client(enforce_csrf_checks=True).post(path_of(order)).status_code == 403


def test_paid_order_shows_its_page(client: Client, order: Order) -> None:
    gateway = get_gateways().current
    settle.notify(gateway, settle.make_payment(order, gateway, now=clock.now()))
    with nothing_changes():
        answer = client.get(path_of(order))
    assert (answer.status_code, answer["Location"]) == (302, f"/orders/{order.order_number}/")


def test_link_of_an_expired_order_shows_its_page(client: Client, order: Order, settings: Settings) -> None:
    settings.CLOCK_OFFSET_S = int(timedelta(seconds=settings.ORDER_TTL_S).total_seconds()) + 1
    with nothing_changes():
        assert client.get(path_of(order))["Location"] == f"/orders/{order.order_number}/"


@pytest.mark.parametrize(
    "change",
    [
        lambda path: f"{path[:-2]}{'B' if path[-2] == 'A' else 'A'}/",
        lambda path: path.replace(":", "", 1),
        lambda path: "/pay/x/",
    ],
)
def test_forged_link_is_not_found(client: Client, order: Order, change: object) -> None:
    with nothing_changes():
        assert client.get(change(path_of(order))).status_code == 404  # type: ignore[operator]


def test_link_of_an_order_that_does_not_exist_is_not_found(client: Client) -> None:
    with nothing_changes():
        assert client.get(urlsplit(pay_url("20260302NONE")).path).status_code == 404


def test_without_a_configuration_nothing_is_opened(
    client: Client, order: Order, alipay_settings: Settings
) -> None:
    alipay_settings.ALIPAY = {**alipay_settings.ALIPAY, "APP_ID": ""}
    get_gateways.cache_clear()
    with nothing_changes():
        assert client.get(path_of(order)).status_code == 503
