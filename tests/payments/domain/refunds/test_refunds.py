"""Refunds: requested, approved or rejected, sent under one number, booked once the gateway proves them."""

from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django.fixtures import Settings

from payments.domain.refunds import requesting, sending
from payments.errors import OrderNotRefundable, RefundLineTaken, RefundNotOpen
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import GatewayRejected, RefundIntent, RefundMovement, Refusal
from payments.models import Payment, Refund, RefundLine
from payments.states import RefundStatus
from shop.errors import OrderNotFound
from shop.models import Account, Course, Enrolment, Order
from shop.models.work import GATEWAY_ATTEMPTS
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderStatus
from tests.factories import NOW, make_buyer, make_course, make_order, make_record
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import Died, Fault, MemoryGateway
from tests.payments.order_scenario import (
    approve,
    ask_refund,
    assert_books_are_right,
    columns,
    pay,
    reject,
    send,
    timeline,
    transfers,
)
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway(clock: Clock) -> MemoryGateway:
    return MemoryGateway(clock)


@pytest.fixture
def courses() -> list[Course]:
    return [make_course("60.00"), make_course("40.00")]


@pytest.fixture
def order(gateway: MemoryGateway, courses: list[Course]) -> Order:
    """Two courses for ¥100, paid with a coupon of ¥10, 9 贝里 and ¥81."""
    buyer = make_buyer(beili=9)
    order = make_order(buyer, *courses, global_coupon=make_record(buyer), beili=9, alipay="81.00")
    pay(order, gateway)
    return order


def test_one_course_is_refunded(order: Order, courses: list[Course], gateway: MemoryGateway) -> None:
    refund = ask_refund(order, courses[0].pk)
    # Of 60 of 100: 6 of the coupon's 10, 5.40 of 9 贝里 (five whole ones), 48.60 of 81.
    assert (refund.amount, refund.beili, refund.status, refund.out_request_no) == (
        Decimal("48.60"), 5, RefundStatus.REQUESTED, f"{order.order_number}R1",
    )  # fmt: skip
    payment = order.payments.get()
    assert columns(payment, "refund_committed", "refunded_amount") == (Decimal("48.60"), Decimal("0.00"))
    assert_books_are_right()
    approve(refund)
    send(gateway)
    assert columns(refund, "status", "finished_at", "available_at") == (RefundStatus.SUCCEEDED, NOW, None)
    assert columns(payment, "refund_committed", "refunded_amount") == (Decimal("48.60"), Decimal("48.60"))
    assert columns(order, "status", "refunded_amount", "refunded_beili") == (
        OrderStatus.PAID,
        Decimal("48.60"),
        5,
    )
    assert Account.objects.get(pk=order.account_id).balance == 5
    statuses = dict(Enrolment.objects.values_list("course_id", "status"))
    assert statuses == {courses[0].pk: EnrolmentStatus.REVOKED, courses[1].pk: EnrolmentStatus.ACTIVE}
    assert transfers(order) == {
        "hold": "beili_available>beili_held 9.00", "cash": "alipay_cash>unapplied 81.00",
        "capture": "beili_held>beili_spent 9.00",
        "subsidy": "coupon_subsidy>sales 10.00", "redeem": "beili_redeemed>sales 9.00",
        "sale": "unapplied>sales 81.00",
        "refund": "sales>refunds 48.60", "unsubsidy": "sales>coupon_subsidy 6.00",
        "unredeem": "sales>beili_redeemed 5.40",
        "return": "beili_spent>beili_available 5.00",
    }  # fmt: skip
    assert timeline(order)[-5:] == [
        "refund_requested",
        "refund_approved",
        "refund_sent",
        "refund_succeeded",
        "enrolment_revoked",
    ]
    assert gateway.net == Decimal("32.40")
    assert_books_are_right()


@pytest.mark.parametrize("returns", [True, False])
def test_whole_refund_returns_the_coupon_by_setting(
    order: Order, gateway: MemoryGateway, settings: Settings, *, returns: bool
) -> None:
    settings.REFUND_RETURNS_COUPONS = returns
    approve(ask_refund(order))
    send(gateway)
    assert columns(order, "status", "refunded_amount", "refunded_beili", "refunded_at") == (
        OrderStatus.REFUNDED,
        Decimal("81.00"),
        9,
        NOW,
    )
    coupon = Account.objects.get(pk=order.account_id).coupon_records.get()
    assert coupon.status == (CouponRecordStatus.UNUSED if returns else CouponRecordStatus.USED)
    assert gateway.net == 0
    assert_books_are_right()


def test_order_that_cost_no_money_gives_its_beili_back(gateway: MemoryGateway) -> None:
    buyer = make_buyer(beili=30)
    order = make_order(buyer, make_course("30.00"), beili=30, alipay="0.00")
    refund = approve(ask_refund(order))
    assert (refund.payment, refund.amount, refund.beili) == (None, Decimal("0.00"), 30)
    send(gateway)
    assert gateway.calls == []
    assert columns(order, "status") == (OrderStatus.REFUNDED,)
    assert columns(buyer, "balance", "held_balance") == (30, 0)
    assert_books_are_right()


@pytest.mark.parametrize(("days", "after", "is_automatic"), [(0, 0, False), (7, 6, True), (7, 7, False)])
def test_refund_is_approved_by_rule_within_so_many_days(
    order: Order, settings: Settings, days: int, after: int, *, is_automatic: bool
) -> None:
    settings.REFUND_AUTO_DAYS = days
    refund = ask_refund(order, now=NOW + timedelta(days=after))
    assert (refund.approved_at is not None, refund.available_at is not None) == (is_automatic, is_automatic)


def test_unapproved_refund_is_not_sent(order: Order, gateway: MemoryGateway) -> None:
    refund = ask_refund(order)
    gateway.calls.clear()
    sending.send_refund(refund.pk, gateways=ConfiguredGateways(gateway), now=NOW, cause="test")
    assert gateway.calls == []
    assert columns(refund, "status") == (RefundStatus.REQUESTED,)


def test_rejected_refund_moves_nothing_and_may_be_asked_for_again(
    order: Order, gateway: MemoryGateway
) -> None:
    refund = reject(ask_refund(order))
    assert columns(refund, "status", "outcome", "finished_at") == (RefundStatus.REJECTED, "超过期限", NOW)
    assert columns(order.payments.get(), "refund_committed") == (Decimal("0.00"),)
    send(gateway)
    assert gateway.net == Decimal("81.00")
    assert_books_are_right()
    assert ask_refund(order).out_request_no == f"{order.order_number}R2"


def test_decided_refunds_are_not_decided_again(order: Order, gateway: MemoryGateway) -> None:
    refund = approve(ask_refund(order))
    for decide in (approve, reject):
        with pytest.raises(RefundNotOpen):
            decide(refund)
    send(gateway)
    for decide in (approve, reject):
        with pytest.raises(RefundNotOpen):
            decide(refund)
    assert columns(refund, "status") == (RefundStatus.SUCCEEDED,)


def test_refusals_of_requests_change_nothing(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    unpaid = make_order(make_buyer(), make_course("5.00"))
    stranger = make_course("1.00")
    ask_refund(order, courses[0].pk)
    with nothing_changes():
        with pytest.raises(OrderNotRefundable):
            ask_refund(unpaid)
        with pytest.raises(OrderNotRefundable):
            ask_refund(order, stranger.pk)
        with pytest.raises(RefundLineTaken):
            ask_refund(order, courses[0].pk)
        with pytest.raises(RefundLineTaken):
            ask_refund(order, courses[0].pk, courses[1].pk)
        with pytest.raises(OrderNotFound):
            requesting.request_refund(
                account_id=unpaid.account_id,
                order_number=order.order_number,
                course_ids=None,
                reason="",
                now=NOW,
                cause="test",
            )


def test_rest_of_an_order_is_what_was_not_requested_yet(order: Order, courses: list[Course]) -> None:
    first = ask_refund(order, courses[1].pk)
    rest = ask_refund(order)
    assert list(rest.lines.values_list("order_line__course_id", flat=True)) == [courses[0].pk]
    assert (first.amount + rest.amount, first.beili + rest.beili) == (Decimal("81.00"), 9)
    with pytest.raises(RefundLineTaken):
        ask_refund(order)


# --- Unknown outcomes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.DIE_BEFORE, Fault.DIE_AFTER])
def test_lost_answer_is_settled_by_a_query_and_an_identical_repeat(
    order: Order, gateway: MemoryGateway, clock: Clock, fault: Fault
) -> None:
    refund = approve(ask_refund(order))
    gateway.calls.clear()
    gateway.faults = [fault]
    try:
        send(gateway)
    except Died:
        assert columns(refund, "status") == (RefundStatus.SENT,)
    else:
        assert columns(refund, "status") == (RefundStatus.UNKNOWN,)
    assert gateway.calls == ["refund"]
    send(gateway, now=clock.advance(minutes=1))
    arrived = fault in {Fault.LOST_AFTER, Fault.DIE_AFTER}
    assert gateway.calls == (["refund", "find_refund"] if arrived else ["refund", "find_refund", "refund"])
    assert gateway.trades[order.payments.get().out_trade_no].refunds == {
        refund.out_request_no: Decimal("81.00")
    }
    assert columns(refund, "status") == (RefundStatus.SUCCEEDED,)
    assert_books_are_right()


def test_accepted_refund_is_not_booked(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    refund = approve(ask_refund(order))
    gateway.faults = [Fault.REFUND_PENDING]
    send(gateway)
    assert columns(refund, "status", "available_at") == (RefundStatus.UNKNOWN, NOW + sending.ASK_AGAIN_AFTER)
    assert columns(order, "status", "refunded_amount") == (OrderStatus.PAID, Decimal("0.00"))
    send(gateway, now=clock.advance(seconds=15))
    assert columns(refund, "status") == (RefundStatus.UNKNOWN,)
    send(gateway, now=clock.advance(minutes=5))
    assert columns(refund, "status") == (RefundStatus.SUCCEEDED,)
    assert_books_are_right()


def test_pending_refund_is_queried_for_a_day(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    refund = approve(ask_refund(order))
    gateway.faults = [Fault.REFUND_PENDING]
    send(gateway)
    trade = gateway.trades[order.payments.get().out_trade_no]
    trade.pending[refund.out_request_no] = (Decimal("81.00"), NOW + timedelta(hours=20))
    while clock.now < NOW + timedelta(hours=21):
        send(gateway, now=clock.advance(minutes=5, seconds=1))
        sending.give_up_refunds(now=clock.now)
    assert columns(refund, "status", "dead_at") == (RefundStatus.SUCCEEDED, None)


def test_empty_merchant_balance_is_asked_again(order: Order, gateway: MemoryGateway, clock: Clock) -> None:
    refund = approve(ask_refund(order))
    gateway.faults = [Fault.NO_FUNDS]
    send(gateway)
    assert columns(refund, "status", "last_error") == (
        RefundStatus.SENT,
        "GatewayRejected: ACQ.SELLER_BALANCE_NOT_ENOUGH",
    )
    send(gateway, now=clock.advance(minutes=1))
    assert columns(refund, "status") == (RefundStatus.SUCCEEDED,)


def test_definite_refusal_fails_and_staff_send_the_same_request_again(
    order: Order, gateway: MemoryGateway
) -> None:
    refund = approve(ask_refund(order))
    gateway.end_refund_window(order.payments.get().out_trade_no)
    send(gateway)
    assert columns(refund, "status", "outcome", "finished_at", "available_at") == (
        RefundStatus.FAILED,
        "ACQ.TRADE_HAS_FINISHED",
        NOW,
        None,
    )
    assert timeline(order)[-1] == "refund_failed"
    assert columns(order, "status", "refunded_amount") == (OrderStatus.PAID, Decimal("0.00"))
    assert_books_are_right()
    with pytest.raises(RefundLineTaken):  # it is still owed
        ask_refund(order)
    gateway.reopen_refund_windows()
    approve(refund)
    send(gateway)
    assert columns(refund, "status", "out_request_no") == (RefundStatus.SUCCEEDED, f"{order.order_number}R1")
    assert_books_are_right()


def test_exhausted_refund_whose_money_has_moved_is_found_before_it_is_sent_again(
    order: Order, gateway: MemoryGateway, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer got lost, and then the gateway was unreachable until the refund was given up.

    A gateway may refuse a repeat for a finished trade.
    """
    refund = approve(ask_refund(order))
    gateway.faults = [Fault.LOST_AFTER]
    send(gateway)
    Refund.objects.filter(pk=refund.pk).update(attempts=GATEWAY_ATTEMPTS)
    assert sending.give_up_refunds(now=clock.advance(hours=1)) == 1
    assert columns(refund, "status", "outcome") == (RefundStatus.FAILED, "attempts_exhausted")
    assert_books_are_right()

    def refuse(intent: RefundIntent) -> bool:
        raise GatewayRejected(Refusal.TRADE_CLOSED, "ACQ.TRADE_HAS_CLOSE", is_final=True)

    monkeypatch.setattr(gateway, "refund", refuse)
    approve(refund)
    send(gateway, now=clock.advance(seconds=1))
    assert columns(refund, "status", "dead_at") == (RefundStatus.SUCCEEDED, None)
    assert_books_are_right()


def test_refusal_of_a_repeat_is_not_believed_before_a_query(
    order: Order, gateway: MemoryGateway, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer got lost and the query came too early, so the request is repeated; "finished" then
    means that it succeeded.
    """
    refund = approve(ask_refund(order))
    gateway.faults = [Fault.LOST_AFTER]
    send(gateway)
    answers = iter([None, RefundMovement(refund.out_request_no, refund.amount, None)])
    monkeypatch.setattr(gateway, "find_refund", lambda trade, number: next(answers))

    def refuse(intent: RefundIntent) -> bool:
        raise GatewayRejected(Refusal.TRADE_CLOSED, "ACQ.TRADE_HAS_CLOSE", is_final=True)

    monkeypatch.setattr(gateway, "refund", refuse)
    send(gateway, now=clock.advance(minutes=1))
    assert columns(refund, "status") == (RefundStatus.SUCCEEDED,)
    assert_books_are_right()


def test_sending_twice_books_once(order: Order, gateway: MemoryGateway) -> None:
    refund = approve(ask_refund(order))
    send(gateway)
    with nothing_changes():
        sending.send_refund(refund.pk, gateways=ConfiguredGateways(gateway), now=NOW, cause="again")
    assert gateway.net == 0


def test_refunds_of_another_buyer_are_not_listed(order: Order) -> None:
    ask_refund(order)
    assert requesting.list_refunds(account_id=order.account_id, order_number=order.order_number).count() == 1
    with pytest.raises(OrderNotFound):
        requesting.list_refunds(account_id=make_buyer().pk, order_number=order.order_number)


def test_no_more_can_be_ordered_back_than_was_paid(order: Order) -> None:
    """The last line of defence, in the database itself."""
    from django.db import IntegrityError, transaction

    with pytest.raises(IntegrityError, match="payment_refunds_within_amount"), transaction.atomic():
        Payment.objects.update(refund_committed=Decimal("81.01"))
    with pytest.raises(IntegrityError, match="payment_refunds_within_amount"), transaction.atomic():
        Payment.objects.update(refunded_amount=Decimal("0.01"))


def test_rejected_line_does_not_bring_back_a_beili_that_is_gone(gateway: MemoryGateway) -> None:
    """Two lines of half a 贝里 each.

    The second one takes the whole 贝里; the first is rejected and requested again.
    """
    buyer = make_buyer(beili=1)
    courses = [make_course("1.00"), make_course("1.00")]
    order = make_order(buyer, *courses, beili=1, alipay="1.00")
    pay(order, gateway)
    first = ask_refund(order, courses[0].pk)
    second = ask_refund(order, courses[1].pk)
    assert (first.beili, second.beili) == (0, 1)
    reject(first)
    approve(second)
    send(gateway)
    again = approve(ask_refund(order, courses[0].pk))
    assert again.beili == 0
    send(gateway)
    assert columns(order, "status", "refunded_beili", "refunded_amount") == (
        OrderStatus.REFUNDED,
        1,
        Decimal("1.00"),
    )
    assert columns(buyer, "balance") == (1,)
    assert not RefundLine.objects.filter(is_live=True, refund=first).exists()
    assert_books_are_right()
