"""Orders that expire or are cancelled: nothing is released while a payment may still come."""

from datetime import timedelta
from decimal import Decimal

import pytest

from payments.domain.trades import attempts, expiry, polling
from payments.errors import OrderNotPayable
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import GatewayUnreachable, TradeStatus
from payments.models import Payment
from payments.states import PaymentStatus, Product
from shop.domain.orders import closing
from shop.models import Account, Order
from shop.models.work import GATEWAY_ATTEMPTS
from shop.states import CouponRecordStatus, OrderStatus
from tests.factories import make_buyer, make_course, make_order, make_record
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import Fault, MemoryGateway
from tests.payments.order_scenario import assert_books_are_right, columns, notify, start, timeline
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway(clock: Clock) -> MemoryGateway:
    return MemoryGateway(clock)


@pytest.fixture
def order() -> Order:
    """¥80 to pay: ¥99 less a coupon of ¥10 and 9 贝里."""
    buyer = make_buyer(beili=20)
    return make_order(buyer, make_course("99.00"), global_coupon=make_record(buyer), beili=9, alipay="80.00")


def close(gateway: MemoryGateway | None, clock: Clock) -> None:
    gateways = ConfiguredGateways(gateway) if gateway else None
    expiry.close_due_orders(gateways=gateways, now=clock.now, cause="test")


def cancel(order: Order, clock: Clock) -> Order:
    return closing.request_cancel(
        account_id=order.account_id, order_number=order.order_number, now=clock.now, cause="test"
    )


def holdings(order: Order) -> tuple[str, int, int, list[str]]:
    """The order's status, its buyer's 贝里 (available, held) and coupons."""
    account = Account.objects.get(pk=order.account_id)
    coupons = list(account.coupon_records.order_by("pk").values_list("status", flat=True))
    return columns(order, "status")[0], account.balance, account.held_balance, coupons


KEPT = (OrderStatus.AWAITING_PAYMENT, 11, 9, [CouponRecordStatus.RESERVED])
EXPIRED = (OrderStatus.EXPIRED, 20, 0, [CouponRecordStatus.UNUSED])
CANCELLED = (OrderStatus.CANCELLED, 20, 0, [CouponRecordStatus.UNUSED])
PAID = (OrderStatus.PAID, 11, 0, [CouponRecordStatus.USED])


def test_order_without_an_attempt_expires_after_the_grace_period(order: Order, clock: Clock) -> None:
    clock.now = order.closes_at - timedelta(seconds=1)
    close(None, clock)
    assert holdings(order) == KEPT
    clock.now = order.closes_at
    close(None, clock)
    assert holdings(order) == EXPIRED
    assert columns(order, "closed_at", "available_at", "paid_at") == (clock.now, None, None)
    assert timeline(order)[-1] == "expired"
    assert_books_are_right()


def test_attempt_is_kept_alive_without_a_configured_gateway(
    order: Order, gateway: MemoryGateway, clock: Clock
) -> None:
    start(order, gateway)
    clock.now = order.closes_at
    close(None, clock)
    assert holdings(order) == KEPT
    assert columns(order, "attempts", "last_error") == (1, "GatewayUnreachable: the gateway isn't configured")


def test_waiting_trade_is_closed_at_the_gateway_before_anything_is_released(
    order: Order, gateway: MemoryGateway, clock: Clock
) -> None:
    payment = start(order, gateway)
    gateway.scan(payment.out_trade_no)
    cancel(order, clock)
    close(gateway, clock)
    assert gateway.calls == ["query", "close"]
    assert gateway.trades[payment.out_trade_no].status is TradeStatus.CLOSED
    assert holdings(order) == CANCELLED
    assert columns(payment, "status", "available_at") == (PaymentStatus.CLOSED, None)
    assert timeline(order)[-3:] == ["cancel_requested", "payment_closed", "cancelled"]
    assert_books_are_right()


def test_trade_that_the_gateway_ended_by_itself_ends_the_attempt(
    order: Order, gateway: MemoryGateway, clock: Clock
) -> None:
    payment = start(order, gateway)
    gateway.scan(payment.out_trade_no)
    clock.now = order.closes_at
    close(gateway, clock)
    assert gateway.calls == ["query"]
    assert holdings(order) == EXPIRED
    assert columns(payment, "status") == (PaymentStatus.CLOSED,)
    assert timeline(order)[-2:] == ["payment_closed", "expired"]


@pytest.mark.parametrize("scanned", [False, True])
def test_buyer_who_pays_between_query_and_close_has_the_course(
    order: Order, gateway: MemoryGateway, clock: Clock, *, scanned: bool
) -> None:
    payment = start(order, gateway)
    if scanned:
        gateway.scan(payment.out_trade_no)
    clock.advance(minutes=1)
    cancel(order, clock)
    if scanned:
        gateway.faults = [Fault.BUYER_PAYS]  # right after the query said WAIT_BUYER_PAY
        close(gateway, clock)
        assert gateway.calls == ["query", "close", "query"]
    else:
        gateway.pay(payment.out_trade_no)
        close(gateway, clock)
    assert holdings(order) == PAID
    assert_books_are_right()


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER])
@pytest.mark.parametrize("call", [0, 1])
def test_everything_is_kept_while_the_gateway_is_unreachable(
    order: Order, gateway: MemoryGateway, clock: Clock, fault: Fault, call: int
) -> None:
    """`call`: the call that gets lost, the query or the close."""
    payment = start(order, gateway)
    gateway.scan(payment.out_trade_no)
    cancel(order, clock)
    gateway.faults = [Fault.NOTHING] * call + [fault]
    close(gateway, clock)
    assert holdings(order) == KEPT
    assert columns(payment, "status") == (PaymentStatus.OPEN,)
    clock.advance(seconds=3)
    close(gateway, clock)
    assert holdings(order) == CANCELLED
    assert_books_are_right()


def test_outage_of_hours_loses_nothing(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    payment = start(order, gateway)
    gateway.pay(payment.out_trade_no)
    clock.now = order.closes_at
    gateway.faults = [Fault.LOST_BEFORE] * 1000
    for _ in range(48):
        close(gateway, clock)
        polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=clock.now, cause="test")
        expiry.give_up_orders(now=clock.now)
        polling.give_up_payments(now=clock.now)
        clock.advance(minutes=5, seconds=1)
    assert holdings(order) == KEPT
    assert columns(order, "dead_at") == (None,)
    gateway.faults = []
    polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=clock.now, cause="test")
    assert holdings(order) == PAID
    assert_books_are_right()


def give_up(order: Order, clock: Clock) -> None:
    Order.objects.filter(pk=order.pk).update(available_at=clock.now, attempts=GATEWAY_ATTEMPTS)
    assert expiry.give_up_orders(now=clock.now) == 1


def test_order_that_was_given_up_keeps_everything_and_can_still_be_cancelled(
    order: Order, gateway: MemoryGateway, clock: Clock
) -> None:
    give_up(order, clock)
    assert holdings(order) == KEPT
    cancel(order, clock)
    close(gateway, clock)
    assert holdings(order) == CANCELLED
    assert columns(order, "dead_at", "available_at") == (None, None)


def test_order_that_was_given_up_is_paid_by_a_notification(
    order: Order, gateway: MemoryGateway, clock: Clock
) -> None:
    payment = start(order, gateway)
    Payment.objects.update(available_at=clock.now, attempts=GATEWAY_ATTEMPTS)
    assert polling.give_up_payments(now=clock.now) == 1
    give_up(order, clock)
    gateway.pay(payment.out_trade_no)
    notify(gateway, payment)
    assert holdings(order) == PAID
    assert columns(payment, "dead_at") == columns(order, "dead_at") == (None,)
    assert_books_are_right()


def test_attempt_that_was_given_up_does_not_stop_the_money_of_another(
    order: Order, gateway: MemoryGateway, clock: Clock
) -> None:
    """The buyer pays an attempt that was closed here; the live one can no longer be queried."""
    first = start(order, gateway)
    gateway.scan(first.out_trade_no)
    second = start(order, gateway, product=Product.QR)
    gateway.trades[first.out_trade_no].status = TradeStatus.WAITING  # its close got lost
    Payment.objects.filter(pk=second.pk).update(available_at=clock.now, attempts=GATEWAY_ATTEMPTS)
    assert polling.give_up_payments(now=clock.now) == 1
    gateway.pay(first.out_trade_no)
    assert notify(gateway, first).status == "asked"
    polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=clock.now, cause="test")
    assert holdings(order) == PAID
    assert columns(second, "status", "dead_at") == (PaymentStatus.CLOSED, None)
    assert_books_are_right()


@pytest.mark.parametrize("notifies", [False, True])
@pytest.mark.parametrize("product", list(Product))
def test_money_for_an_attempt_that_was_closed_unseen_is_found(
    order: Order, gateway: MemoryGateway, clock: Clock, product: Product, *, notifies: bool
) -> None:
    """Nobody had scanned, so there was nothing to close at the gateway. The buyer's link can be paid until
    its expiry, and the notification gets lost.
    """
    payment = start(order, gateway, product=product)
    clock.advance(minutes=1)
    cancel(order, clock)
    close(gateway, clock)
    assert holdings(order) == CANCELLED
    clock.advance(minutes=1)
    assert gateway.pay(payment.out_trade_no)
    if notifies:
        notify(gateway, payment, now=clock.now)
    else:
        clock.now = order.closes_at
    polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=clock.now, cause="test")
    assert columns(payment, "status", "is_surplus", "refund_committed") == (
        PaymentStatus.PAID,
        True,
        Decimal("80.00"),
    )
    assert "late_payment" in timeline(order)
    assert_books_are_right()


def test_attempt_closed_unseen_is_looked_at_once_more_after_its_end(
    order: Order, gateway: MemoryGateway, clock: Clock
) -> None:
    payment = start(order, gateway)
    cancel(order, clock)
    close(gateway, clock)
    clock.now = order.expires_at - timedelta(seconds=1)
    gateway.calls.clear()
    assert polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=clock.now, cause="test") == 0
    clock.now = order.closes_at
    assert polling.query_due_payments(gateways=ConfiguredGateways(gateway), now=clock.now, cause="test") == 1
    assert gateway.calls == ["query"]
    assert columns(payment, "status", "available_at", "dead_at") == (PaymentStatus.CLOSED, None, None)


def test_attempt_closed_unseen_is_not_forgotten_by_a_worker_that_comes_late(
    order: Order, gateway: MemoryGateway, clock: Clock
) -> None:
    """It was claimed while it was open. When the worker gets to it, it is closed but can still be paid."""
    payment = start(order, gateway)
    cancel(order, clock)
    close(gateway, clock)
    gateway.calls.clear()
    polling.query_payment(payment.pk, gateways=ConfiguredGateways(gateway), now=clock.now, cause="late")
    assert gateway.calls == ["query"]
    assert columns(payment, "available_at") == (order.closes_at,)


def test_another_product_closes_the_first_attempt(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    first = start(order, gateway)
    gateway.scan(first.out_trade_no)
    second = start(order, gateway, product=Product.QR)
    assert (first.out_trade_no, second.out_trade_no) == (f"{order.order_number}P1", f"{order.order_number}P2")
    assert gateway.trades[first.out_trade_no].status is TradeStatus.CLOSED
    assert columns(first, "status") == (PaymentStatus.CLOSED,)
    assert start(order, gateway, product=Product.QR).pk == second.pk


def test_another_product_is_refused_when_the_first_attempt_was_paid(
    order: Order, gateway: MemoryGateway
) -> None:
    first = start(order, gateway)
    gateway.pay(first.out_trade_no)
    with pytest.raises(OrderNotPayable):
        start(order, gateway, product=Product.QR)
    assert holdings(order) == PAID


def test_another_product_is_refused_while_the_first_attempt_is_left_to_staff(
    order: Order, gateway: MemoryGateway
) -> None:
    """The trade has another amount, so it is neither settled nor closed, and there must be no second
    attempt.
    """
    first = start(order, gateway)
    gateway.pay(first.out_trade_no)
    gateway.trades[first.out_trade_no].amount = Decimal("1.00")
    with pytest.raises(GatewayUnreachable):
        start(order, gateway, product=Product.QR)
    assert columns(first, "status", "product") == (PaymentStatus.OPEN, Product.PAGE)
    assert [offer.product for offer in gateway.offers.values()] == [Product.PAGE]


def test_another_product_that_cannot_close_the_first_attempt_changes_nothing(
    order: Order, gateway: MemoryGateway
) -> None:
    first = start(order, gateway)
    gateway.scan(first.out_trade_no)
    gateway.faults = [Fault.LOST_BEFORE]
    with nothing_changes(), pytest.raises(GatewayUnreachable):
        start(order, gateway, product=Product.QR)


@pytest.mark.parametrize("why", ["expired", "cancelled", "cancel_requested", "paid"])
def test_ended_order_gets_no_attempt(order: Order, gateway: MemoryGateway, clock: Clock, why: str) -> None:
    match why:
        case "expired":
            clock.now = order.expires_at
        case "paid":
            payment = start(order, gateway)
            gateway.pay(payment.out_trade_no)
            notify(gateway, payment)
        case _:
            cancel(order, clock)
            if why == "cancelled":
                close(gateway, clock)
    with nothing_changes(), pytest.raises(OrderNotPayable):
        attempts.start_payment(
            order=order,
            product=Product.PAGE,
            gateways=ConfiguredGateways(gateway),
            now=clock.now,
            cause="test",
        )


def test_closing_again_finds_nothing_to_do(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    clock.now = order.closes_at
    close(gateway, clock)
    with nothing_changes():
        expiry.close_due_order(order.pk, gateways=ConfiguredGateways(gateway), now=clock.now, cause="again")
