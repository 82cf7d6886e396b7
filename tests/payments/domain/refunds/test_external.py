"""Refunds made without the shop: in the gateway's merchant console, or by a bank.

They are known by their numbers, proven, booked and explained.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from pytest_django import Settings

from payments.domain.refunds import concluding, deciding, explaining, external, sending, surplus
from payments.domain.trades import attempts, expiry, inbox, polling
from payments.errors import (
    ExternalRefundUnexplained,
    OrderNotRefundable,
    RefundLineTaken,
    RefundNotOpen,
    RefundOverPayment,
)
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import GatewayUnreachable, TradeReport, TradeStatus
from payments.models import Notification, Payment, Refund
from payments.states import (
    ClosedReason,
    Explanation,
    NotificationStatus,
    PaymentStatus,
    Product,
    RefundKind,
    RefundStatus,
)
from shop.domain.orders import closing
from shop.models import Account, Course, Enrolment, Order
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderStatus
from tests.factories import NOW, make_buyer, make_course, make_order, make_record
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import Fault, MemoryGateway
from tests.payments.order_scenario import (
    ask,
    ask_refund,
    assert_books_are_right,
    columns,
    notify,
    pay,
    reject,
    send,
    start,
    timeline,
    transfers,
)
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway(clock: Clock) -> MemoryGateway:
    return MemoryGateway(clock)


@pytest.fixture(autouse=True)
def _operator(db: None) -> None:
    make_buyer(username="operator")


def operator() -> Account:
    return Account.objects.get(username="operator")


@pytest.fixture
def courses() -> list[Course]:
    return [make_course("69.00"), make_course("20.00"), make_course("11.00")]


@pytest.fixture
def order(gateway: MemoryGateway, courses: list[Course]) -> Order:
    """Three courses for ¥100, paid in cash only."""
    order = make_order(make_buyer(), *courses)
    pay(order, gateway)
    return order


def refund_in_console(
    gateway: MemoryGateway, payment: Payment, amount: str, number: str = "CONSOLE77", *, tells: bool = True
) -> None:
    """Support refunds at the gateway, with or without a notification."""
    assert gateway.console_refund(payment.out_trade_no, number, Decimal(amount))
    if tells:
        notify(gateway, payment)


def external_of(payment: Payment, number: str = "CONSOLE77") -> Refund:
    return Refund.objects.get(payment=payment, kind=RefundKind.EXTERNAL, out_request_no=number)


def approve(refund: Refund, *, now: datetime = NOW) -> Refund:
    return deciding.approve_refund(refund.pk, staff=operator(), now=now, cause="test")


def explain(refund: Refund, *course_ids: int, why: str = "电话申请") -> Refund:
    return explaining.explain_external_refund(
        refund.pk, course_ids=set(course_ids) or None, staff=operator(), why=why, now=NOW, cause="test"
    )


def pay_elsewhere(refund: Refund, gateway: MemoryGateway, reference: str = "BANK-1") -> Refund:
    return deciding.mark_refund_paid_elsewhere(
        refund.pk,
        gateways=ConfiguredGateways(gateway),
        reference=reference,
        staff=operator(),
        now=NOW,
        cause="test",
    )


def give_up(refund: Refund, gateway: MemoryGateway, why: str = "无法退回") -> Refund:
    return deciding.reject_refund(
        refund.pk, gateways=ConfiguredGateways(gateway), staff=operator(), why=why, now=NOW, cause="test"
    )


# --- A refund is known by its number ------------------------------------------------------------------------


def test_refund_in_the_console_is_not_taken_for_the_one_that_was_asked_for(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    """The buyer requests ¥69, support refunds ¥69 in the console, and then staff approve the request.

    Nothing may be refunded twice.
    """
    payment = order.payments.get()
    asked = ask_refund(order, courses[0].pk)
    refund_in_console(gateway, payment, "69.00")
    reported = external_of(payment)
    assert (Notification.objects.latest("pk").status, reported.status) == (
        NotificationStatus.APPLIED,
        RefundStatus.REPORTED,
    )
    with nothing_changes(), pytest.raises(ExternalRefundUnexplained):
        approve(asked)
    send(gateway)  # proves and books it
    assert columns(reported, "status", "amount", "explanation") == (
        RefundStatus.SUCCEEDED,
        Decimal("69.00"),
        "",
    )
    assert columns(payment, "refunded_amount", "external_refunded", "refund_committed") == (
        Decimal(69),
        Decimal(69),
        Decimal(69),
    )
    assert "external_refund" in timeline(order)
    assert transfers(order)["external"] == "external_refunds>refunds 69.00"
    with nothing_changes(), pytest.raises(ExternalRefundUnexplained):
        approve(asked)
    assert gateway.net == Decimal("31.00")
    assert_books_are_right()


def test_console_refund_that_was_meant_for_the_request_pays_it(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    payment, asked = order.payments.get(), ask_refund(order, courses[0].pk)
    refund_in_console(gateway, payment, "69.00")
    send(gateway)
    pay_elsewhere(asked, gateway, reference="CONSOLE77")
    assert columns(asked, "status", "reference") == (RefundStatus.PAID_ELSEWHERE, "CONSOLE77")
    assert columns(external_of(payment), "explanation") == (Explanation.REQUEST,)
    assert columns(order, "status", "refunded_amount") == (OrderStatus.PAID, Decimal("69.00"))
    assert Enrolment.objects.get(course=courses[0]).status == EnrolmentStatus.REVOKED
    assert_books_are_right()
    approve(ask_refund(order, courses[1].pk))  # others go on
    send(gateway)
    assert gateway.net == Decimal("11.00")
    assert_books_are_right()


def commit_in_state(order: Order, course: Course, gateway: MemoryGateway, clock: Clock, state: str) -> Refund:
    """A refund of ours that is committed but not done."""
    refund = ask_refund(order, course.pk)
    if state == "waiting":
        return refund
    approve(refund)
    match state:
        case "approved":
            pass
        case "unknown":
            gateway.faults = [Fault.LOST_BEFORE]
            send(gateway)
        case "sent":
            Refund.objects.filter(pk=refund.pk).update(status=RefundStatus.SENT, sent_at=NOW)
        case "dead":
            gateway.faults = [Fault.LOST_BEFORE]
            send(gateway)
            Refund.objects.filter(pk=refund.pk).update(attempts=Refund.MAX_ATTEMPTS, available_at=clock.now)
            assert sending.give_up_refunds(now=clock.now) == 1
        case "failed":
            trade = gateway.trades[order.payments.get().out_trade_no]
            trade.status, trade.is_refundable = TradeStatus.FINISHED, False
            send(gateway)
            trade.status, trade.is_refundable = TradeStatus.PAID, True
    return refund


@pytest.mark.parametrize("state", ["waiting", "approved", "sent", "unknown", "dead", "failed"])
def test_no_refund_is_sent_while_an_external_one_is_unexplained(
    order: Order, courses: list[Course], gateway: MemoryGateway, clock: Clock, state: str
) -> None:
    refund = commit_in_state(order, courses[0], gateway, clock, state)
    payment = order.payments.get()
    refund_in_console(gateway, payment, "69.00")
    for _ in range(4):
        send(gateway, now=clock.advance(minutes=6))
    if state in {"waiting", "dead", "failed"}:
        with pytest.raises(ExternalRefundUnexplained):
            approve(refund)
    refund.refresh_from_db()
    assert refund.status != RefundStatus.SUCCEEDED
    assert gateway.trades[payment.out_trade_no].refunds == {"CONSOLE77": Decimal("69.00")}
    assert_books_are_right()
    explain(external_of(payment))  # a gift after all
    if refund.status == RefundStatus.REQUESTED and refund.approved_at:
        # it was held back, and now the gateway refuses it: there isn't enough left
        send(gateway, now=clock.now)
        assert columns(refund, "status") == (RefundStatus.FAILED,)
    assert gateway.net == Decimal("31.00")
    assert_books_are_right()


def test_refund_held_back_goes_once_the_other_is_explained(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    refund = approve(ask_refund(order, courses[1].pk))
    refund_in_console(gateway, order.payments.get(), "11.00")
    send(gateway)
    assert columns(refund, "status", "available_at", "attempts") == (
        RefundStatus.REQUESTED,
        NOW + sending.HELD_BACK_FOR,
        0,
    )
    explain(external_of(order.payments.get()), courses[2].pk)
    assert columns(refund, "available_at") == (NOW,)
    send(gateway)
    assert columns(refund, "status") == (RefundStatus.SUCCEEDED,)
    assert gateway.net == Decimal("69.00")
    assert_books_are_right()


def test_control_without_the_guard_the_money_goes_twice(
    order: Order, courses: list[Course], gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ask_refund(order, courses[1].pk)
    refund_in_console(gateway, order.payments.get(), "20.00")
    send(gateway)
    monkeypatch.setattr(concluding, "is_unexplained", lambda payment: False)
    approve(asked)
    send(gateway)
    assert gateway.net == Decimal("60.00")


def test_own_refund_is_known_by_its_number(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    approve(ask_refund(order, courses[0].pk))
    send(gateway)
    with nothing_changes():
        assert (
            external.note_refunds(Payment.objects.get(), inbox_report(gateway, order), now=NOW)
            is external.Noted.KNOWN
        )
    assert notify(gateway, order.payments.get()).reason == "already_applied"
    assert not Refund.objects.filter(kind=RefundKind.EXTERNAL).exists()


def inbox_report(gateway: MemoryGateway, order: Order) -> TradeReport:
    trade = gateway.trades[order.payments.get().out_trade_no]
    return gateway.verify_notification({}, gateway.body(gateway.form(trade))).report


def test_notice_settles_a_refund_of_ours_that_had_been_given_up(
    order: Order, courses: list[Course], gateway: MemoryGateway, clock: Clock
) -> None:
    refund = approve(ask_refund(order, courses[0].pk))
    gateway.faults = [Fault.LOST_AFTER]
    send(gateway)
    Refund.objects.filter(pk=refund.pk).update(attempts=Refund.MAX_ATTEMPTS, available_at=NOW)
    sending.give_up_refunds(now=NOW)
    assert columns(refund, "status") == (RefundStatus.FAILED,)
    notify(gateway, order.payments.get())
    assert columns(refund, "status", "available_at", "dead_at") == (RefundStatus.UNKNOWN, NOW, None)
    send(gateway)
    assert columns(refund, "status") == (RefundStatus.SUCCEEDED,)
    assert_books_are_right()


# --- Whole refunds end the order by themselves --------------------------------------------------------------


@pytest.mark.parametrize("product", list(Product))
@pytest.mark.parametrize("returns", [True, False])
def test_whole_refund_in_the_console_ends_the_order(
    courses: list[Course], gateway: MemoryGateway, settings: Settings, product: Product, *, returns: bool
) -> None:
    settings.REFUND_RETURNS_COUPONS = returns
    buyer = make_buyer(beili=9)
    order = make_order(buyer, *courses, global_coupon=make_record(buyer), beili=9, alipay="81.00")
    payment = start(order, gateway, product=product)
    gateway.pay(payment.out_trade_no)
    notify(gateway, payment)
    refund_in_console(gateway, payment, "81.00")
    send(gateway)
    assert columns(order, "status", "refunded_amount", "refunded_beili") == (
        OrderStatus.REFUNDED,
        Decimal("81.00"),
        9,
    )
    assert columns(external_of(payment), "explanation", "amount") == (Explanation.WHOLE, Decimal("81.00"))
    assert set(Enrolment.objects.values_list("status", flat=True)) == {EnrolmentStatus.REVOKED}
    assert columns(buyer, "balance") == (9,)
    assert buyer.coupon_records.get().status == (
        CouponRecordStatus.UNUSED if returns else CouponRecordStatus.USED
    )
    assert gateway.net == 0
    assert_books_are_right()


def test_parts_that_add_up_to_the_whole_end_the_order(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    payment = order.payments.get()
    approve(ask_refund(order, courses[1].pk))
    send(gateway)
    waiting = ask_refund(order, courses[2].pk)
    for number, amount in (("C1", "69.00"), ("C2", "10.00"), ("C3", "1.00")):
        refund_in_console(gateway, payment, amount, number)
        send(gateway)
    assert columns(order, "status", "refunded_amount") == (OrderStatus.REFUNDED, Decimal("100.00"))
    assert columns(waiting, "status", "outcome") == (RefundStatus.REJECTED, "支付渠道侧已整单退款")
    assert {refund.explanation for refund in Refund.objects.filter(kind=RefundKind.EXTERNAL)} == {
        Explanation.WHOLE
    }
    assert_books_are_right()


def test_gift_before_the_whole_counts_as_a_gift(order: Order, gateway: MemoryGateway) -> None:
    payment = order.payments.get()
    refund_in_console(gateway, payment, "5.00", "GIFT")
    send(gateway)
    explain(external_of(payment, "GIFT"))
    refund_in_console(gateway, payment, "95.00")
    send(gateway)
    assert columns(order, "status", "refunded_amount") == (OrderStatus.REFUNDED, Decimal("95.00"))
    assert_books_are_right()


def test_whole_refund_without_a_notification_is_found_by_a_query(
    order: Order, gateway: MemoryGateway
) -> None:
    """For page payments a closed trade isn't notified.

    Staff trigger a query: a closed trade that was paid has been fully refunded.
    """
    payment = order.payments.get()
    refund_in_console(gateway, payment, "100.00", tells=False)
    Payment.objects.update(available_at=NOW)
    ask(gateway)
    stand_in = external_of(payment, external.stand_in_number(payment))
    assert (stand_in.status, stand_in.amount, stand_in.explanation) == (
        RefundStatus.SUCCEEDED,
        Decimal("100.00"),
        Explanation.WHOLE,
    )
    assert columns(order, "status") == (OrderStatus.REFUNDED,)
    assert_books_are_right()
    notify(gateway, payment)  # the notification comes at last, with its number
    send(gateway)
    assert columns(external_of(payment), "status", "outcome") == (
        RefundStatus.REJECTED,
        f"已包含在 {stand_in.out_request_no}",
    )
    assert columns(payment, "refunded_amount") == (Decimal("100.00"),)
    assert gateway.net == 0
    assert_books_are_right()


def test_first_of_two_refunds_whose_notice_got_lost_is_found_with_the_whole(
    order: Order, gateway: MemoryGateway
) -> None:
    payment = order.payments.get()
    refund_in_console(gateway, payment, "30.00", "LOST", tells=False)
    refund_in_console(gateway, payment, "70.00")
    send(gateway)
    assert columns(order, "status") == (OrderStatus.PAID,)
    ask(gateway)  # its total says that everything is refunded: queried, and proven
    assert columns(order, "status", "refunded_amount") == (OrderStatus.REFUNDED, Decimal("100.00"))
    assert external_of(payment, external.stand_in_number(payment)).amount == Decimal("30.00")
    assert_books_are_right()


# --- A surprising notification triggers a query ------------------------------------------------------


@pytest.mark.parametrize("product", list(Product))
@pytest.mark.parametrize("order_state", ["awaiting", "expired", "cancelled"])
def test_late_notification_of_a_refunded_payment_opens_nothing(
    courses: list[Course], gateway: MemoryGateway, clock: Clock, product: Product, order_state: str
) -> None:
    """The notification of the payment is late. A full refund in the console is notified (or found by the
    poller) first; then the late one comes.
    """
    order = make_order(make_buyer(), *courses)
    payment = start(order, gateway, product=product)
    gateway.pay(payment.out_trade_no)
    paid_word = gateway.outbox[-1]
    gateway.console_refund(payment.out_trade_no, "CONSOLE77", Decimal("100.00"))
    if len(gateway.outbox) > 1:
        notify(gateway, payment)
    else:
        # the end of a page payment isn't notified; the poller finds it
        Payment.objects.update(available_at=NOW)
    for _ in range(3):
        ask(gateway, now=clock.advance(minutes=1))
        send(gateway, now=clock.now)
    if order_state == "expired":
        clock.now = order.closes_at
    if order_state == "cancelled":
        closing.request_cancel(
            account_id=order.account_id, order_number=order.order_number, now=clock.now, cause="test"
        )
    if order_state != "awaiting":
        expiry.close_due_orders(gateways=ConfiguredGateways(gateway), now=clock.now, cause="test")
    status = {
        "awaiting": OrderStatus.AWAITING_PAYMENT,
        "expired": OrderStatus.EXPIRED,
        "cancelled": OrderStatus.CANCELLED,
    }[order_state]
    inbox.store_notification(
        gateways=ConfiguredGateways(gateway),
        provider="memory",
        headers={},
        body=gateway.body(paid_word),
        now=clock.now,
    )
    inbox.apply_due_notifications(gateways=ConfiguredGateways(gateway), now=clock.now, cause="late")
    late = Notification.objects.latest("pk")
    assert late.status == NotificationStatus.ASKED
    ask(gateway, now=clock.now)
    assert columns(late, "status", "reason") == (NotificationStatus.IGNORED, "already_applied")
    assert columns(order, "status") == (status,)
    assert columns(payment, "status", "closed_reason", "refunded_amount") == (
        PaymentStatus.CLOSED, ClosedReason.GIVEN_BACK, Decimal("100.00"),
    )  # fmt: skip
    assert not Enrolment.objects.exists()
    assert (
        external_of(
            payment, "CONSOLE77" if len(gateway.outbox) > 1 else external.stand_in_number(payment)
        ).explanation
        == Explanation.SURPLUS
    )
    assert gateway.net == 0
    assert_books_are_right()


def test_buyer_whose_payment_was_refunded_can_pay_again(
    courses: list[Course], gateway: MemoryGateway
) -> None:
    order = make_order(make_buyer(), *courses)
    payment = start(order, gateway, product=Product.WAP)
    gateway.pay(payment.out_trade_no)
    gateway.console_refund(payment.out_trade_no, "C1", Decimal("100.00"))
    notify(gateway, payment)
    ask(gateway)
    send(gateway)
    second = start(order, gateway, product=Product.WAP)
    gateway.pay(second.out_trade_no)
    notify(gateway, second)
    assert columns(order, "status") == (OrderStatus.PAID,)
    assert gateway.net == Decimal("100.00")
    assert_books_are_right()


def test_rest_of_a_payment_that_was_refunded_in_parts_is_booked(
    courses: list[Course], gateway: MemoryGateway, clock: Clock
) -> None:
    """Only the first of two refunds is notified, before the payment. The trade is found closed while the
    first is still to be proven.
    """
    order = make_order(make_buyer(), *courses)
    payment = start(order, gateway)
    gateway.pay(payment.out_trade_no)
    refund_in_console(gateway, payment, "11.00")
    refund_in_console(gateway, payment, "89.00", "LOST", tells=False)
    ask(gateway)  # closed and paid, so refunded; CONSOLE77 is due to be proven
    send(gateway)
    assert columns(payment, "status", "closed_reason", "refunded_amount") == (
        PaymentStatus.CLOSED, ClosedReason.GIVEN_BACK, Decimal("11.00"),
    )  # fmt: skip
    assert_books_are_right()
    for _ in range(2):
        ask(gateway, now=clock.advance(minutes=1))
        assert columns(payment, "refunded_amount", "available_at") == (Decimal("100.00"), None)
        assert external_of(payment, external.stand_in_number(payment)).amount == Decimal("89.00")
        assert gateway.net == 0
        assert_books_are_right()


def test_partial_refund_notified_before_the_payment(courses: list[Course], gateway: MemoryGateway) -> None:
    """The order is paid, and the refund waits to be explained."""
    order = make_order(make_buyer(), *courses)
    payment = start(order, gateway)
    gateway.pay(payment.out_trade_no)
    refund_in_console(gateway, payment, "11.00")
    assert Notification.objects.latest("pk").status == NotificationStatus.ASKED
    send(gateway)  # too early: the payment isn't booked
    assert columns(external_of(payment), "status") == (RefundStatus.REPORTED,)
    ask(gateway)
    send(gateway, now=NOW + timedelta(minutes=1))
    assert columns(order, "status") == (OrderStatus.PAID,)
    assert columns(external_of(payment), "status", "amount", "explanation") == (
        RefundStatus.SUCCEEDED,
        Decimal("11.00"),
        "",
    )
    assert Notification.objects.latest("pk").status == NotificationStatus.APPLIED
    assert_books_are_right()


# --- Partial refunds wait for staff -------------------------------------------------------------------------


def test_staff_assign_the_refund_to_a_course(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    payment = order.payments.get()
    refund_in_console(gateway, payment, "20.00")
    send(gateway)
    explained = explain(external_of(payment), courses[1].pk, why="电话退课")
    assert (explained.explanation, explained.outcome, explained.explained_at) == (
        Explanation.LINES,
        "电话退课",
        NOW,
    )
    assert explained.decided_by is not None
    assert columns(order, "status", "refunded_amount") == (OrderStatus.PAID, Decimal("20.00"))
    assert Enrolment.objects.get(course=courses[1]).status == EnrolmentStatus.REVOKED
    assert_books_are_right()
    with nothing_changes(), pytest.raises(RefundNotOpen):
        explain(explained)


def test_more_than_the_courses_cost_is_a_gift_and_less_keeps_a_part(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    payment = order.payments.get()
    refund_in_console(gateway, payment, "25.00", "MORE")
    send(gateway)
    explain(external_of(payment, "MORE"), courses[1].pk)
    refund_in_console(gateway, payment, "10.00", "LESS")
    send(gateway)
    explain(external_of(payment, "LESS"), courses[2].pk)
    assert columns(order, "refunded_amount") == (Decimal("30.00"),)
    assert order.transfers.get(debit="goodwill").amount == Decimal("5.00")
    assert_books_are_right()
    approve(ask_refund(order))  # ¥69 is left in the order, ¥65 of the payment
    send(gateway)
    assert columns(order, "status", "refunded_amount") == (OrderStatus.REFUNDED, Decimal("95.00"))
    assert gateway.net == 0
    assert_books_are_right()


def test_gift_leaves_the_courses(order: Order, gateway: MemoryGateway) -> None:
    payment = order.payments.get()
    refund_in_console(gateway, payment, "1.00")
    send(gateway)
    explain(external_of(payment))
    assert columns(order, "status", "refunded_amount") == (OrderStatus.PAID, Decimal("0.00"))
    assert Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE).count() == 3
    assert_books_are_right()


def test_explanations_that_cannot_be_are_refused(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    payment = order.payments.get()
    ask_refund(order, courses[0].pk)
    refund_in_console(gateway, payment, "69.00")
    reported, stranger = external_of(payment), make_course("1.00")
    with nothing_changes(), pytest.raises(RefundNotOpen):
        explain(reported, courses[0].pk)  # not proven yet
    send(gateway)
    with nothing_changes():
        with pytest.raises(RefundLineTaken):
            explain(reported, courses[0].pk)  # a request has it
        with pytest.raises(OrderNotRefundable):
            explain(reported, stranger.pk)


def test_difference_without_a_number_is_quarantined_and_blocks_until_it_is_booked(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    payment = order.payments.get()
    asked = ask_refund(order, courses[2].pk)
    gateway.console_refund(payment.out_trade_no, "C1", Decimal("20.00"))
    notice = notify(gateway, payment, without="out_biz_no")
    assert (notice.status, notice.reason) == (NotificationStatus.QUARANTINED, "refunded_elsewhere")
    with nothing_changes(), pytest.raises(ExternalRefundUnexplained):
        approve(asked)
    assert_books_are_right()
    explaining.report_external_refund(payment.pk, number="C1", staff=operator(), now=NOW)
    send(gateway)
    explain(external_of(payment, "C1"), courses[1].pk)
    inbox.reapply_notification(notice.pk, now=NOW)
    inbox.apply_due_notifications(gateways=ConfiguredGateways(gateway), now=NOW, cause="test")
    assert columns(notice, "status", "reason", "first_reason") == (
        NotificationStatus.IGNORED,
        "already_applied",
        "refunded_elsewhere",
    )
    approve(asked)
    send(gateway)
    assert gateway.net == Decimal("69.00")
    assert_books_are_right()


def test_earlier_refund_without_a_notification_quarantines_the_payment(
    order: Order, gateway: MemoryGateway
) -> None:
    payment = order.payments.get()
    refund_in_console(gateway, payment, "10.00", "MISSED", tells=False)
    refund_in_console(gateway, payment, "20.00", "TOLD")
    send(gateway)
    assert columns(payment, "dead_at", "last_error") == (NOW, "refunds differ: 30.00 told, 20.00 known")
    explain(external_of(payment, "TOLD"))
    with pytest.raises(ExternalRefundUnexplained):
        approve(ask_refund(order))
    assert_books_are_right()
    explaining.report_external_refund(payment.pk, number="MISSED", staff=operator(), now=NOW)
    send(gateway)
    explain(external_of(payment, "MISSED"))
    assert columns(payment, "dead_at", "last_error", "refunded_amount") == (None, "", Decimal("30.00"))
    assert_books_are_right()


def test_number_that_is_known_is_not_booked_again(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    payment = order.payments.get()
    refund = approve(ask_refund(order, courses[0].pk))
    send(gateway)
    refund_in_console(gateway, payment, "20.00")
    with nothing_changes():
        for number in (refund.out_request_no, "CONSOLE77"):
            with pytest.raises(RefundNotOpen):
                explaining.report_external_refund(payment.pk, number=number, staff=operator(), now=NOW)


def test_report_that_the_gateway_denies_is_dismissed_by_staff(
    order: Order, gateway: MemoryGateway, clock: Clock
) -> None:
    payment, gateways = order.payments.get(), ConfiguredGateways(gateway)
    explaining.report_external_refund(payment.pk, number="TYPO", staff=operator(), now=NOW)
    reported = external_of(payment, "TYPO")
    send(gateway)
    assert columns(reported, "status", "attempts") == (RefundStatus.REPORTED, 1)
    Refund.objects.filter(pk=reported.pk).update(attempts=Refund.MAX_ATTEMPTS, available_at=NOW)
    sending.give_up_refunds(now=NOW)
    assert columns(reported, "status", "dead_at") == (RefundStatus.REPORTED, NOW)
    gateway.faults = [Fault.LOST_BEFORE]
    dismiss = partial(
        explaining.dismiss_external_refund,
        reported.pk,
        gateways=gateways,
        staff=make_buyer(),
        why="录入错误",
        now=NOW,
        cause="test",
    )
    with nothing_changes(), pytest.raises(GatewayUnreachable):
        dismiss()
    dismiss()
    assert columns(reported, "status", "outcome", "dead_at") == (RefundStatus.REJECTED, "录入错误", None)
    approve(ask_refund(order))
    send(gateway)
    assert columns(order, "status") == (OrderStatus.REFUNDED,)
    assert_books_are_right()


def test_dismissed_report_leaves_the_gateways_total_to_staff(order: Order, gateway: MemoryGateway) -> None:
    """A notification with a wrong number: the gateway denies the number, but its total is higher than
    ours.
    """
    payment = order.payments.get()
    gateway.console_refund(payment.out_trade_no, "C1", Decimal("5.00"))
    notify(gateway, payment, out_biz_no="OTHER")
    explaining.dismiss_external_refund(
        external_of(payment, "OTHER").pk,
        gateways=ConfiguredGateways(gateway),
        staff=operator(),
        why="x",
        now=NOW,
        cause="test",
    )
    assert columns(payment, "dead_at", "last_error") == (NOW, "refunds differ: 5.00 told, 0.00 known")
    assert_books_are_right()
    with pytest.raises(ExternalRefundUnexplained):
        approve(ask_refund(order))


def test_report_that_turns_out_true_is_booked_instead_of_dismissed(
    order: Order, gateway: MemoryGateway
) -> None:
    payment, gateways = order.payments.get(), ConfiguredGateways(gateway)
    refund_in_console(gateway, payment, "5.00")
    with pytest.raises(RefundNotOpen):
        explaining.dismiss_external_refund(
            external_of(payment).pk, gateways=gateways, staff=operator(), why="x", now=NOW, cause="test"
        )
    assert columns(external_of(payment), "status", "amount") == (RefundStatus.SUCCEEDED, Decimal("5.00"))
    assert_books_are_right()


# --- Refunds of ours that are refused for good --------------------------------------------------------------


def refuse_for_good(order: Order, gateway: MemoryGateway, *course_ids: int) -> Refund:
    refund = approve(ask_refund(order, *course_ids))
    gateway.end_refund_window(order.payments.get().out_trade_no)
    send(gateway)
    assert columns(refund, "status") == (RefundStatus.FAILED,)
    return refund


def test_refused_refund_is_paid_by_other_means(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    refund = refuse_for_good(order, gateway, courses[0].pk)
    paid = pay_elsewhere(refund, gateway, "工行转账 20260302-7")
    assert (paid.status, paid.reference, paid.finished_at) == (
        RefundStatus.PAID_ELSEWHERE,
        "工行转账 20260302-7",
        NOW,
    )
    assert paid.decided_by is not None
    assert columns(order, "status", "refunded_amount") == (OrderStatus.PAID, Decimal("69.00"))
    assert Enrolment.objects.get(course=courses[0]).status == EnrolmentStatus.REVOKED
    assert order.transfers.get(credit="other_means").amount == Decimal("69.00")
    assert columns(order.payments.get(), "refund_committed", "refunded_amount") == (
        Decimal("0.00"),
        Decimal("0.00"),
    )
    assert "refund_paid_elsewhere" in timeline(order)
    assert gateway.net == Decimal("100.00")
    assert_books_are_right()
    with nothing_changes(), pytest.raises(RefundNotOpen):
        pay_elsewhere(refund, gateway)


def test_refused_refund_is_given_up_and_asked_for_again(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    refund = refuse_for_good(order, gateway, courses[0].pk)
    give_up(refund, gateway)
    assert columns(refund, "status", "outcome") == (RefundStatus.REJECTED, "无法退回")
    assert_books_are_right()
    gateway.reopen_refund_windows()
    again = approve(ask_refund(order, courses[0].pk))
    assert again.out_request_no == f"{order.order_number}R2"
    send(gateway)
    assert gateway.net == Decimal("31.00")
    assert_books_are_right()


def late_money(gateway: MemoryGateway, clock: Clock) -> Payment:
    """A payment for an order that had been cancelled."""
    order = make_order(make_buyer(), make_course("50.00"))
    payment = start(order, gateway)
    closing.request_cancel(
        account_id=order.account_id, order_number=order.order_number, now=clock.now, cause="test"
    )
    expiry.close_due_orders(gateways=ConfiguredGateways(gateway), now=clock.now, cause="test")
    gateway.pay(payment.out_trade_no)
    notify(gateway, payment)
    ask(gateway)
    payment.refresh_from_db()
    assert payment.is_surplus
    return payment


@pytest.mark.parametrize("way", ["elsewhere", "given_up", "again"])
def test_refused_refund_of_surplus(gateway: MemoryGateway, clock: Clock, way: str) -> None:
    payment = late_money(gateway, clock)
    gateway.end_refund_window(payment.out_trade_no)
    send(gateway)
    refund = Refund.objects.get()
    assert refund.status == RefundStatus.FAILED
    if way == "elsewhere":
        pay_elsewhere(refund, gateway)
        assert payment.order.transfers.get(credit="other_means").amount == Decimal("50.00")
    else:
        give_up(refund, gateway)
    assert_books_are_right()
    if way == "again":
        gateway.reopen_refund_windows()
        again = surplus.request_surplus_refund(payment.pk, now=NOW, cause="test")
        assert again.out_request_no == f"{payment.out_trade_no}S2"
        send(gateway)
        assert gateway.net == 0
        assert_books_are_right()
    if way == "elsewhere":
        with nothing_changes(), pytest.raises(OrderNotRefundable):
            surplus.request_surplus_refund(payment.pk, now=NOW, cause="test")


@pytest.mark.parametrize(("gone", "left"), [("20.00", "30.00"), ("50.00", None)])
def test_surplus_that_was_refunded_in_the_console_is_not_refunded_again(
    gateway: MemoryGateway, clock: Clock, gone: str, left: str | None
) -> None:
    payment = late_money(gateway, clock)
    own = Refund.objects.get(kind=RefundKind.SURPLUS)
    Refund.objects.update(available_at=NOW + timedelta(hours=1))
    refund_in_console(gateway, payment, gone)
    send(gateway)
    assert columns(external_of(payment), "explanation") == (Explanation.SURPLUS,)
    assert columns(own, "status") == (RefundStatus.REJECTED,)
    rest = Refund.objects.filter(kind=RefundKind.SURPLUS).exclude(pk=own.pk).first()
    assert (rest and str(rest.amount)) == left
    assert_books_are_right()
    send(gateway)
    assert gateway.net == 0
    assert_books_are_right()


def test_failed_refund_that_was_done_after_all_is_booked_instead_of_given_up(
    order: Order, gateway: MemoryGateway
) -> None:
    refund = approve(ask_refund(order))
    gateway.faults = [Fault.LOST_AFTER]
    send(gateway)
    Refund.objects.filter(pk=refund.pk).update(attempts=Refund.MAX_ATTEMPTS, available_at=NOW)
    sending.give_up_refunds(now=NOW)
    gateway.faults = [Fault.LOST_BEFORE]
    with nothing_changes(), pytest.raises(GatewayUnreachable):
        give_up(refund, gateway)
    for deed in (give_up, pay_elsewhere):
        with pytest.raises(RefundNotOpen):
            deed(refund, gateway)
        assert columns(refund, "status") == (RefundStatus.SUCCEEDED,)
    assert columns(order, "status") == (OrderStatus.REFUNDED,)
    assert_books_are_right()


def test_refund_above_what_is_left_is_not_approved(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    asked = ask_refund(order)
    refund_in_console(gateway, order.payments.get(), "20.00")
    send(gateway)
    explain(external_of(order.payments.get()))
    with nothing_changes(), pytest.raises(RefundOverPayment) as refusal:
        approve(asked)
    assert refusal.value.details == {"amount": "100.00", "left": "80.00"}
    reject(asked)
    assert ask_refund(order).amount == Decimal("80.00")


# --- Automatic refunds and unused time ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "day", "is_automatic"), [(1, 5, False), (1, 0, True), (7, 5, True), (3, 3, False)]
)
def test_automatic_refunds_end_with_the_access_that_was_bought(
    gateway: MemoryGateway, settings: Settings, period: int, day: int, *, is_automatic: bool
) -> None:
    settings.REFUND_AUTO_DAYS = 7
    order = make_order(make_buyer(), make_course("10.00", period=period))
    pay(order, gateway)
    refund = ask_refund(order, now=NOW + timedelta(days=day))
    assert (refund.approved_at is not None) is is_automatic


def test_refund_is_not_automatic_while_something_is_unexplained(
    order: Order, gateway: MemoryGateway, settings: Settings
) -> None:
    settings.REFUND_AUTO_DAYS = 7
    refund_in_console(gateway, order.payments.get(), "1.00")
    assert ask_refund(order).approved_at is None


def test_pro_rata_refunds_the_remaining_days(
    gateway: MemoryGateway, settings: Settings, clock: Clock
) -> None:
    settings.REFUND_PRO_RATA = True
    buyer = make_buyer(beili=9)
    month, year = make_course("60.00", period=30), make_course("40.00", period=360)
    order = make_order(buyer, month, year, global_coupon=make_record(buyer), beili=9, alipay="81.00")
    pay(order, gateway)
    refund = approve(ask_refund(order, month.pk, now=clock.advance(days=10, hours=1)), now=clock.now)
    # 19 whole days of 30 are left: their share of ¥48.60, and of 贝里 worth ¥5.40, which is three whole ones.
    assert (refund.amount, refund.beili) == (Decimal("30.78"), 3)
    send(gateway, now=clock.now)
    assert columns(order, "status", "refunded_amount", "refunded_beili") == (
        OrderStatus.PAID,
        Decimal("30.78"),
        3,
    )
    assert_books_are_right()
    rest = approve(ask_refund(order, now=clock.now), now=clock.now)
    send(gateway, now=clock.now)
    assert rest.amount < Decimal("32.40")
    assert columns(order, "status") == (OrderStatus.REFUNDED,)
    assert gateway.net == Decimal("81.00") - refund.amount - rest.amount
    assert_books_are_right()


# --- Credentials belong to the attempt ----------------------------------------------------------------------


def test_app_change_leaves_open_attempts_with_their_own(
    order: Order, courses: list[Course], gateway: MemoryGateway, clock: Clock
) -> None:
    waiting = make_order(make_buyer(), *courses)
    payment = start(waiting, gateway)
    new = gateway.sibling("2021000000000002")
    gateways = ConfiguredGateways(new, gateway)
    gateway.pay(payment.out_trade_no)
    Payment.objects.filter(pk=payment.pk).update(available_at=NOW)
    polling.query_due_payments(gateways=gateways, now=NOW, cause="test")
    assert columns(waiting, "status") == (OrderStatus.PAID,)
    approve(ask_refund(order))
    sending.send_due_refunds(gateways=gateways, now=NOW, cause="test")
    assert columns(order, "status") == (OrderStatus.REFUNDED,)
    later = make_order(make_buyer(), *courses)
    opened = attempts.start_payment(
        order=later, product=Product.PAGE, gateways=gateways, now=NOW, cause="test"
    ).payment
    assert (opened.app_id, payment.app_id) == ("2021000000000002", gateway.app_id)
    gateway.pay(opened.out_trade_no)
    for app in (new, gateway):
        form = app.form(app.trades[opened.out_trade_no])
        inbox.store_notification(
            gateways=gateways, provider="memory", headers={}, body=app.body(form), now=NOW
        )
    inbox.apply_due_notifications(gateways=gateways, now=NOW, cause="test")
    assert columns(later, "status") == (OrderStatus.PAID,)
    assert_books_are_right()


def test_attempt_whose_app_is_not_configured_waits_and_names_the_reason(
    order: Order, courses: list[Course], gateway: MemoryGateway
) -> None:
    waiting = make_order(make_buyer(), *courses)
    payment = start(waiting, gateway)
    alone = ConfiguredGateways(gateway.sibling("2021000000000002"))
    Payment.objects.filter(pk=payment.pk).update(available_at=NOW)
    polling.query_due_payments(gateways=alone, now=NOW, cause="test")
    payment.refresh_from_db()
    assert (payment.status, payment.attempts) == (PaymentStatus.OPEN, 1)
    assert payment.last_error.startswith("GatewayNotConfigured")
    expiry.close_due_orders(gateways=alone, now=waiting.closes_at, cause="test")
    assert columns(waiting, "status") == (OrderStatus.AWAITING_PAYMENT,)
