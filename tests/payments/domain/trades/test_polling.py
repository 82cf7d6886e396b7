"""Queries of payments without a notification."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from payments.domain.trades import expiry, polling
from payments.gateways import ConfiguredGateways
from payments.gateways.alipay import AlipayGateway
from payments.gateways.protocol import GatewayUnreachable
from payments.models import Payment
from payments.states import PaymentStatus
from shop.models import Account, Order
from tests.factories import NOW, make_buyer, make_course, make_order, make_record
from tests.payments.alipay_side import Told, gateway_server, make_gateway, signed_answer
from tests.payments.settle import ask, make_payment, notify
from tests.unchanged import everything, nothing_changes

pytestmark = pytest.mark.django_db
NOT_EXIST = {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}


@pytest.fixture
def gateway() -> AlipayGateway:
    """The real Alipay gateway with no server behind it, instead of the one in memory."""
    return make_gateway()


@pytest.fixture
def payment(gateway: AlipayGateway) -> Payment:
    buyer = make_buyer(beili=9)
    return make_payment(
        make_order(buyer, make_course("99.00"), beili=9, global_coupon=make_record(buyer), alipay="80.00"),
        gateway,
    )


def trade(payment: Payment, status: str, **changes: str) -> dict[str, str]:
    number = f"20260302220014{payment.pk:014}"
    return {
        "code": "10000", "out_trade_no": payment.out_trade_no, "trade_no": number, "trade_status": status,
        "total_amount": str(payment.amount), **changes,
    }  # fmt: skip


@contextmanager
def alipay_says(*answers: dict[str, str] | int) -> Iterator[tuple[AlipayGateway, Told]]:
    """Makes Alipay give these answers, one after the other, and then repeat the last one."""
    left = list(answers)

    def answer(asked: dict[str, str]) -> Any:
        said = left.pop(0) if len(left) > 1 else left[0]
        return said if isinstance(said, int) else signed_answer(asked["method"], said)

    with gateway_server(answer) as told:
        yield make_gateway(told.url), told


def due(payment: Payment) -> Any:
    payment.refresh_from_db()
    return payment.available_at


def test_paid_trade_is_settled(payment: Payment) -> None:
    with alipay_says(trade(payment, "TRADE_SUCCESS")) as (gateway, _):
        assert (
            polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=due(payment), cause="task:1")
            == 1
        )
    payment.refresh_from_db()
    assert (payment.status, Order.objects.get().status) == ("paid", "paid")


@pytest.mark.parametrize("answer", ["WAIT_BUYER_PAY", None])
def test_unpaid_trade_is_queried_again(payment: Payment, answer: str | None, settings: Settings) -> None:
    now = due(payment)
    with alipay_says(trade(payment, answer) if answer else NOT_EXIST) as (gateway, _):
        polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=now, cause="task:1")
    payment.refresh_from_db()
    assert (payment.status, payment.attempts) == ("open", 0)
    assert payment.available_at == now + timedelta(seconds=settings.PAYMENT_QUERY_INTERVAL_S)


def test_answer_of_another_amount_pays_nothing(payment: Payment) -> None:
    with alipay_says(trade(payment, "TRADE_SUCCESS", total_amount="0.01")) as (gateway, _):
        polling.query_payment(payment.pk, gateways=ConfiguredGateways(gateway), now=NOW, cause="task:1")
    payment.refresh_from_db()
    assert (payment.status, Order.objects.get().status) == ("open", "awaiting_payment")


def test_no_answer_is_no_answer(payment: Payment) -> None:
    now = due(payment)
    with alipay_says(500) as (gateway, _):
        polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=now, cause="task:1")
    payment.refresh_from_db()
    assert (payment.status, payment.attempts) == ("open", 1)
    assert payment.available_at is not None
    # Counted from the missing answer.
    assert timedelta(seconds=2) <= payment.available_at - now < timedelta(seconds=12)
    assert payment.last_error.startswith("GatewayUnreachable")


def test_settled_payment_is_not_queried(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment)
    with nothing_changes(), alipay_says(500) as (asked_gateway, told):
        polling.query_payment(payment.pk, gateways=ConfiguredGateways(asked_gateway), now=NOW, cause="task:1")
    assert told.asked == []


def test_staff_can_query_a_payment_in_any_state(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment)
    Payment.objects.update(attempts=3)
    polling.ask_about_payment(payment.pk, now=NOW)
    assert (due(payment), payment.attempts) == (NOW, 0)
    with alipay_says(trade(payment, "TRADE_SUCCESS")) as (asked_gateway, told):
        polling.query_due_payments(gateways=ConfiguredGateways(asked_gateway), now=NOW, cause="task:1")
    payment.refresh_from_db()
    assert (payment.status, payment.available_at, len(told.asked)) == ("paid", None, 1)


def test_second_attempt_of_a_paid_order_is_closed_at_alipay(payment: Payment, gateway: AlipayGateway) -> None:
    Payment.objects.filter(pk=payment.pk).update(
        status=PaymentStatus.CLOSED, closed_reason="never_paid", closed_at=NOW
    )
    second = make_payment(payment.order, gateway)
    notify(gateway, payment)
    ask(payment)
    assert due(second) == NOW
    with alipay_says(trade(second, "WAIT_BUYER_PAY"), trade(second, "TRADE_CLOSED")) as (asked_gateway, told):
        polling.query_due_payments(gateways=ConfiguredGateways(asked_gateway), now=NOW, cause="task:1")
    second.refresh_from_db()
    assert [asked["method"] for asked in told.asked] == ["alipay.trade.query", "alipay.trade.close"]
    assert second.status == "closed"


def test_payment_that_used_all_attempts_is_left_to_staff(payment: Payment) -> None:
    Payment.objects.update(attempts=Payment.MAX_ATTEMPTS, available_at=NOW)
    assert polling.give_up_payments(now=NOW) == 1
    payment.refresh_from_db()
    assert (payment.status, payment.dead_at) == ("open", NOW)


# --- Orders whose time is over ------------------------------------------------------------------------------


def close(gateway: AlipayGateway | None, order: Order) -> None:
    gateways = ConfiguredGateways(gateway) if gateway else None
    expiry.close_due_order(order.pk, gateways=gateways, now=order.closes_at, cause="task:1")


def test_order_without_an_attempt_is_closed_without_asking() -> None:
    buyer = make_buyer(beili=9)
    order = make_order(buyer, make_course("99.00"), beili=9, alipay="90.00")
    assert expiry.close_due_orders(gateways=None, now=order.closes_at, cause="task:1") == 1
    order.refresh_from_db()
    assert (order.status, order.closed_at) == ("expired", order.closes_at)
    assert Account.objects.values_list("balance", "held_balance").get() == (9, 0)


def test_order_is_not_closed_before_its_time() -> None:
    order = make_order(make_buyer(), make_course("99.00"))
    with nothing_changes():
        assert (
            expiry.close_due_orders(gateways=None, now=order.closes_at - timedelta(seconds=1), cause="task:1")
            == 0
        )


def test_order_that_was_paid_at_the_last_moment_is_settled(payment: Payment) -> None:
    with alipay_says(trade(payment, "TRADE_SUCCESS")) as (gateway, told):
        close(gateway, payment.order)
    assert (Order.objects.get().status, len(told.asked)) == ("paid", 1)


def test_order_that_is_paid_while_it_is_being_closed_is_settled(payment: Payment) -> None:
    refusal = {"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR"}
    with alipay_says(trade(payment, "WAIT_BUYER_PAY"), refusal, trade(payment, "TRADE_SUCCESS")) as (
        gateway,
        told,
    ):
        close(gateway, payment.order)
    assert (Order.objects.get().status, len(told.asked)) == ("paid", 3)


def test_order_keeps_everything_while_alipay_does_not_answer(payment: Payment) -> None:
    with nothing_changes(), alipay_says(500) as (gateway, _), pytest.raises(GatewayUnreachable):
        close(gateway, payment.order)


def test_order_keeps_everything_without_a_gateway_to_ask(payment: Payment) -> None:
    with nothing_changes(), pytest.raises(GatewayUnreachable):
        close(None, payment.order)


def test_trade_that_is_neither_paid_nor_to_be_closed_stays_open(payment: Payment) -> None:
    refusal = {"code": "40004", "sub_code": "ACQ.TRADE_STATUS_ERROR"}
    waiting = trade(payment, "WAIT_BUYER_PAY")
    with (
        nothing_changes(),
        alipay_says(waiting, refusal, waiting) as (gateway, _),
        pytest.raises(GatewayUnreachable),
    ):
        close(gateway, payment.order)


def test_trade_that_alipay_does_not_know_is_closed_here(payment: Payment) -> None:
    with alipay_says(NOT_EXIST) as (gateway, told):
        close(gateway, payment.order)
    payment.refresh_from_db()
    assert (payment.status, Order.objects.get().status, len(told.asked)) == ("closed", "expired", 1)
    assert "payment_closed" in [event.kind for event in payment.order.events.all()]


def test_attempt_that_outlives_its_order_is_not_queried_for_ever(payment: Payment) -> None:
    """Its last query comes after its expiry at the gateway. A time in the past would be due again at once,
    and for ever.
    """
    order = Order.objects.get()
    Order.objects.update(expires_at=NOW - timedelta(seconds=1), closes_at=NOW)
    with alipay_says(NOT_EXIST, NOT_EXIST) as (gateway, _):
        expiry.close_due_order(order.pk, gateways=ConfiguredGateways(gateway), now=NOW, cause="task:1")
        payment.refresh_from_db()
        assert payment.available_at == payment.expires_at
        polling.ask_about_payment(payment.pk, now=NOW)
        polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=NOW, cause="task:1")
    payment.refresh_from_db()
    assert payment.available_at == payment.expires_at


def test_wrong_amount_keeps_the_order_open(payment: Payment) -> None:
    before = everything()
    with (
        alipay_says(trade(payment, "TRADE_SUCCESS", total_amount="0.01")) as (gateway, _),
        pytest.raises(GatewayUnreachable),
    ):
        close(gateway, payment.order)
    assert everything() == before


def test_closed_order_is_left_alone(payment: Payment, gateway: AlipayGateway) -> None:
    notify(gateway, payment)
    Order.objects.update(available_at=NOW)
    close(gateway, payment.order)
    order = Order.objects.get()
    assert (order.status, order.available_at) == ("paid", None)


def test_order_that_could_not_be_closed_is_left_to_staff(payment: Payment) -> None:
    Order.objects.update(attempts=Order.MAX_ATTEMPTS, available_at=NOW)
    assert expiry.give_up_orders(now=NOW) == 1
    order = Order.objects.get()
    assert (order.status, order.dead_at) == ("awaiting_payment", NOW)
