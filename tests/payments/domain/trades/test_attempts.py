"""Payment attempts."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from payments.domain.trades import attempts
from payments.errors import OrderNotPayable
from payments.gateways import ConfiguredGateways
from payments.gateways.alipay import AlipayGateway
from payments.gateways.protocol import (
    Gateway,
    GatewayRejected,
    GatewayUnreachable,
    PaymentIntent,
    Refusal,
    TradeStatus,
)
from payments.models import Payment
from payments.states import Product
from shop.models import Order
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.payments.alipay_side import APP_ID, SELLER_ID, gateway_server, make_gateway, signed_answer
from tests.payments.memorygateway import Fault, MemoryGateway
from tests.payments.order_scenario import assert_books_are_right, columns
from tests.payments.settle import make_payment, notify
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway() -> AlipayGateway:
    """The real Alipay gateway with no server behind it, instead of the one in memory."""
    return make_gateway()


@pytest.fixture
def order() -> Order:
    return make_order(make_buyer(), make_course("80.00", name="甲"), make_course("20.00", name="乙"))


def test_attempt_freezes_amount_app_and_seller(
    order: Order, gateway: AlipayGateway, settings: Settings
) -> None:
    payment = make_payment(order, gateway)
    assert (payment.out_trade_no, payment.amount, payment.app_id, payment.seller_id) == (
        f"{order}P1",
        Decimal("100.00"),
        APP_ID,
        SELLER_ID,
    )
    assert (payment.status, payment.expires_at) == ("open", order.expires_at)
    assert payment.available_at == NOW + timedelta(seconds=settings.PAYMENT_FIRST_QUERY_S)
    order.refresh_from_db()
    assert (order.version, order.events.last().kind) == (2, "payment_started")  # type: ignore[union-attr]


def test_open_attempt_is_used_again(order: Order, gateway: AlipayGateway) -> None:
    first = make_payment(order, gateway)
    with nothing_changes():
        assert make_payment(order, gateway) == first


@pytest.mark.parametrize("how", ["paid", "over", "cancelled"])
def test_order_that_cannot_be_paid_gets_no_attempt(order: Order, gateway: AlipayGateway, how: str) -> None:
    now = NOW
    if how == "paid":
        notify(gateway, make_payment(order, gateway))
    elif how == "over":
        now = order.expires_at
    else:
        Order.objects.update(cancel_requested_at=NOW)
    with nothing_changes(), pytest.raises(OrderNotPayable):
        make_payment(order, gateway, now=now)


def test_intent_names_the_courses(order: Order, gateway: AlipayGateway) -> None:
    intent = attempts.intent_of(make_payment(order, gateway))
    assert (intent.subject, intent.amount, intent.expires_at) == (
        "甲 等2门课程",
        Decimal("100.00"),
        order.expires_at,
    )
    single = make_order(make_buyer(), make_course("1.00", name="丙"))
    assert attempts.intent_of(make_payment(single, gateway)).subject == "丙"


def start(order: Order, gateway: Gateway, product: Product) -> attempts.Started:
    return attempts.start_payment(
        order=order, product=product, gateways=ConfiguredGateways(gateway), now=NOW, cause="test"
    )


@pytest.mark.parametrize(
    ("product", "way"), [(Product.PAGE, "pay_url"), (Product.WAP, "pay_url"), (Product.APP, "order_string")]
)
def test_each_product_has_its_way(order: Order, gateway: AlipayGateway, product: Product, way: str) -> None:
    started = start(order, gateway, product)
    assert [name for name in ("pay_url", "order_string", "qr_code") if getattr(started, name)] == [way]
    assert started.payment.product == product


def _answers(asked: dict[str, str]) -> bytes:
    method = asked["method"]
    number = asked["biz_content"].split('"out_trade_no":"')[1].split('"')[0]
    if method == "alipay.trade.query":
        return signed_answer(method, {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"})
    return signed_answer(method, {"code": "10000", "out_trade_no": number, "qr_code": "https://qr.test/1"})


def test_code_for_scanning(order: Order) -> None:
    with gateway_server(_answers) as told:
        assert start(order, make_gateway(told.url), Product.QR).qr_code == "https://qr.test/1"


def test_another_product_takes_over_an_attempt_that_no_buyer_has_shown_up_for(order: Order) -> None:
    """Forty switches are one row: there is no trade yet, and the first buyer who shows up creates it."""
    with gateway_server(_answers) as told:
        gateway = make_gateway(told.url)
        for product in [Product.PAGE, Product.QR] * 20:
            payment = start(order, gateway, product).payment
    assert (payment.product, payment.out_trade_no, payment.status) == (Product.QR, f"{order}P1", "open")
    assert list(order.payments.values_list("pk", "product")) == [(payment.pk, Product.QR)]
    assert order.events.filter(kind="payment_started").count() == 1
    assert {asked["method"] for asked in told.asked} == {"alipay.trade.query", "alipay.trade.precreate"}


def test_another_product_closes_an_attempt_whose_buyer_has_shown_up(order: Order) -> None:
    gateway = MemoryGateway(lambda: NOW)
    old = start(order, gateway, Product.PAGE).payment
    gateway.scan(old.out_trade_no)
    new = start(order, gateway, Product.QR).payment
    old.refresh_from_db()
    assert (old.status, new.status, new.out_trade_no) == ("closed", "open", f"{order}P2")
    assert gateway.trades[old.out_trade_no].status is TradeStatus.CLOSED


def test_attempt_that_turns_out_paid_is_settled_at_once(order: Order) -> None:
    """The notification got lost: the gateway refuses a second code for a paid trade, so it is queried."""
    gateway = MemoryGateway(lambda: NOW)
    payment = start(order, gateway, Product.QR).payment
    gateway.pay(payment.out_trade_no)
    with pytest.raises(OrderNotPayable) as refusal:
        start(order, gateway, Product.QR)
    assert refusal.value.details == {"status": "paid"}
    assert columns(order, "status") == ("paid",)
    assert_books_are_right()


def test_attempt_that_turns_out_closed_gets_a_successor(order: Order) -> None:
    gateway = MemoryGateway(lambda: NOW)
    payment = start(order, gateway, Product.QR).payment
    gateway.scan(payment.out_trade_no)
    gateway.close(payment.out_trade_no)
    started = start(order, gateway, Product.QR)
    assert (started.payment.out_trade_no, columns(payment, "status", "closed_reason")) == (
        f"{order}P2",
        ("closed", "never_paid"),
    )


def test_attempt_that_turns_out_paid_stays_open_while_it_cannot_be_queried(order: Order) -> None:
    gateway = MemoryGateway(lambda: NOW)
    payment = start(order, gateway, Product.QR).payment
    gateway.pay(payment.out_trade_no)
    gateway.faults = [Fault.NOTHING, Fault.LOST_BEFORE]
    with nothing_changes(), pytest.raises(GatewayUnreachable):
        start(order, gateway, Product.QR)


def test_other_refusals_are_passed_on(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = MemoryGateway(lambda: NOW)
    payment = start(order, gateway, Product.QR).payment

    def refuse(intent: PaymentIntent) -> str:
        raise GatewayRejected(Refusal.AMOUNT_OVER_LIMIT, "ACQ.TOTAL_FEE_EXCEED", is_final=True)

    monkeypatch.setattr(gateway, "create_qr", refuse)
    with nothing_changes(), pytest.raises(GatewayRejected):
        start(order, gateway, Product.QR)
    assert columns(payment, "status") == ("open",)


def test_attempt_that_was_paid_meanwhile_is_not_replaced(order: Order) -> None:
    def answers(asked: dict[str, str]) -> bytes:
        trade: dict[str, Any] = {
            "code": "10000",
            "out_trade_no": f"{order}P1",
            "trade_no": "2026030222001400000000000001",
            "trade_status": "TRADE_SUCCESS",
            "total_amount": "100.00",
            "send_pay_date": "2026-03-02 12:00:00",
        }
        return signed_answer(asked["method"], trade)

    with gateway_server(answers) as told:
        gateway = make_gateway(told.url)
        start(order, gateway, Product.PAGE)
        with pytest.raises(OrderNotPayable):
            start(order, gateway, Product.WAP)
    order.refresh_from_db()
    assert (order.status, Payment.objects.count()) == ("paid", 1)
