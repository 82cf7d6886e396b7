"""Bills compared with the books: each kind of difference, and what resolves it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from pytest_django import Settings

from payments.domain.bills import comparing, explaining, planning
from payments.domain.bills.differences import SKEW
from payments.domain.refunds import deciding
from payments.errors import DifferenceNotOpen
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import BillRow
from payments.models import Bill, BillDifference, BillEntry, Payment, Refund
from payments.states import (
    BillRowKind,
    BillStatus,
    DifferenceKind,
    DifferenceStatus,
    PaymentStatus,
    RefundKind,
    RefundStatus,
)
from shop.clock import shanghai_date
from shop.errors import WorkNotDead
from shop.models import Account, LedgerTransfer, Order, OrderEvent
from shop.states import OrderStatus
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import APP_ID, OTHER_APP_ID, Died, Fault, MemoryGateway
from tests.payments.order_scenario import (
    approve,
    ask,
    ask_refund,
    assert_books_are_right,
    columns,
    pay,
    send,
    start,
    timeline,
)
from tests.unchanged import everything, nothing_changes

pytestmark = pytest.mark.django_db

DAY = shanghai_date(NOW)
# Ten o'clock the next day.
READY = datetime(2026, 3, 3, 2, 0, tzinfo=NOW.tzinfo)
STRANGE = BillRow(BillRowKind.TRADE, "T1", "STRANGE1", "", Decimal("1.00"), Decimal("-0.01"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gateway(clock: Clock) -> MemoryGateway:
    return MemoryGateway(clock)


@pytest.fixture
def order() -> Order:
    return make_order(make_buyer(), make_course("30.00"), make_course("20.00"))


@pytest.fixture
def staff() -> Account:
    return make_buyer(username="nami")


def plan(*gateways: MemoryGateway, now: datetime = READY) -> int:
    return planning.plan_bills(gateways=ConfiguredGateways(*gateways), now=now)


def compare(gateway: MemoryGateway, *others: MemoryGateway, now: datetime = READY) -> int:
    """Compares due bills and makes the resulting queries, like a worker."""
    return comparing.compare_due_bills(gateways=ConfiguredGateways(gateway, *others), now=now)


def differences(**conditions: Any) -> list[tuple[str, ...]]:
    """Status, subject, kind, number, and the amounts of both sides."""
    rows = BillDifference.objects.filter(**conditions).order_by("id")
    return [
        (
            row.status,
            row.subject,
            row.kind,
            row.out_request_no or row.out_trade_no,
            str(row.told_amount),
            str(row.our_amount),
        )
        for row in rows
    ]


def spoiling(change: Callable[[BillRow], BillRow | None]) -> Callable[[list[BillRow]], list[BillRow]]:
    return lambda rows: [made for row in rows if (made := change(row)) is not None]


# --- Which bills there are ----------------------------------------------------------------------------------


def test_a_shop_without_payments_asks_for_no_bills(gateway: MemoryGateway) -> None:
    with nothing_changes():
        assert plan(gateway) == 0


def test_each_past_day_of_each_app_has_one_bill_from_its_hour_on(
    order: Order, gateway: MemoryGateway, settings: Settings
) -> None:
    start(order, gateway)
    other = gateway.sibling(OTHER_APP_ID)
    with nothing_changes():
        assert plan(gateway, other, now=NOW) == 0  # the day isn't over
    settings.BILL_HOUR = 11
    assert plan(gateway, other, now=NOW + timedelta(hours=12, minutes=10)) == 2
    assert set(Bill.objects.values_list("app_id", "day", "available_at")) == {
        (app, DAY, READY + timedelta(hours=1)) for app in (APP_ID, OTHER_APP_ID)
    }
    with nothing_changes():
        assert plan(gateway, other) == 0
    assert compare(gateway, other) == 0
    assert compare(gateway, other, now=READY + timedelta(hours=1)) == 4  # each once more for its findings


def test_missed_days_are_caught_up_within_a_month(order: Order, gateway: MemoryGateway) -> None:
    start(order, gateway)
    late = NOW + timedelta(days=100)
    assert plan(gateway, now=late) == planning.MAX_DAYS
    assert set(Bill.objects.values_list("day", "available_at")) == {
        (shanghai_date(late) - timedelta(days=back), late) for back in range(2, planning.MAX_DAYS + 1)
    } | {(shanghai_date(late) - timedelta(days=1), max(late, READY + timedelta(days=99)))}


# --- Nothing differs ----------------------------------------------------------------------------------------


def test_books_that_agree_have_no_difference(order: Order, gateway: MemoryGateway) -> None:
    payment = pay(order, gateway)
    refund = ask_refund(order, order.lines.first().course_id)  # type: ignore[union-attr]
    approve(refund)
    send(gateway)
    money = list(LedgerTransfer.objects.values_list())
    plan(gateway)
    assert compare(gateway) == 2
    assert differences() == []
    bill = Bill.objects.get()
    assert (bill.status, bill.compared_at, bill.available_at, bill.attempts) == (
        BillStatus.COMPARED, READY, None, 0,
    )  # fmt: skip
    assert (bill.trade_count, bill.trade_total) == (1, payment.amount)
    assert (bill.refund_count, bill.refund_total, bill.fee_total) == (1, refund.amount, Decimal("-0.01"))
    assert set(BillEntry.objects.values_list("kind", "out_trade_no", "out_request_no", "amount")) == {
        ("trade", payment.out_trade_no, "", payment.amount),
        ("refund", payment.out_trade_no, refund.out_request_no, refund.amount),
    }
    assert list(LedgerTransfer.objects.values_list()) == money
    assert_books_are_right()


def test_refund_that_we_heard_of_a_day_late_is_in_an_earlier_bill(
    order: Order, gateway: MemoryGateway, clock: Clock
) -> None:
    pay(order, gateway)
    approve(ask_refund(order))
    gateway.faults = [Fault.LOST_AFTER]
    send(gateway)
    clock.now = READY
    send(gateway, now=READY)
    assert Refund.objects.get().finished_at == READY
    plan(gateway, now=READY + timedelta(days=1))
    compare(gateway, now=READY + timedelta(days=1))
    assert differences() == []


def test_payment_of_the_last_minutes_may_stand_in_the_next_days_bill(
    order: Order, gateway: MemoryGateway
) -> None:
    payment = pay(order, gateway)
    before_midnight = planning.midnight_after(DAY) - timedelta(seconds=2)
    Payment.objects.update(paid_at=before_midnight)
    gateway.trades[payment.out_trade_no].paid_at = before_midnight + timedelta(seconds=4)
    gateway.spoil_bill = lambda rows: rows or [STRANGE]
    plan(gateway, now=READY + timedelta(days=1))
    compare(gateway, now=READY)
    compare(gateway, now=READY + timedelta(days=1))
    assert differences() == [("open", "trade", "missing_here", "STRANGE1", "1.00", "None")]


@pytest.mark.parametrize("minutes", [0, 6])
def test_payment_around_midnight_that_no_bill_has_is_found(
    order: Order, gateway: MemoryGateway, minutes: int
) -> None:
    payment = pay(order, gateway)
    Payment.objects.update(paid_at=planning.midnight_after(DAY) - timedelta(seconds=1, minutes=minutes))
    gateway.spoil_bill = lambda rows: [STRANGE]
    plan(gateway, now=READY + timedelta(days=1))
    compare(gateway, now=READY + timedelta(days=1))
    told = BillDifference.objects.get(kind=DifferenceKind.MISSING_THERE)
    assert (told.out_trade_no, told.bill.day) == (
        payment.out_trade_no, DAY if timedelta(minutes=minutes) > SKEW else DAY + timedelta(days=1),
    )  # fmt: skip


# --- Each difference ----------------------------------------------------------------------------------------


def test_trade_unknown_to_the_shop(order: Order, gateway: MemoryGateway) -> None:
    pay(order, gateway)
    gateway.spoil_bill = lambda rows: [*rows, STRANGE]
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "trade", "missing_here", "STRANGE1", "1.00", "None")]
    assert BillDifference.objects.get().order is None
    assert_books_are_right()


def test_trade_that_the_bill_lacks(order: Order, gateway: MemoryGateway) -> None:
    payment = pay(order, gateway)
    gateway.spoil_bill = lambda rows: [STRANGE]
    plan(gateway)
    compare(gateway)
    assert ("open", "trade", "missing_there", payment.out_trade_no, "None", "50.00") in differences(
        order=order
    )


def test_a_day_without_a_bill_lacks_all_of_ours(order: Order, gateway: MemoryGateway) -> None:
    payment = pay(order, gateway)
    gateway.spoil_bill = lambda rows: []
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "trade", "missing_there", payment.out_trade_no, "None", "50.00")]


@pytest.mark.parametrize("told", ["50.01", "49.99", "0.00", "-50.00"])
def test_trade_of_another_amount(order: Order, gateway: MemoryGateway, told: str) -> None:
    payment = pay(order, gateway)
    gateway.spoil_bill = spoiling(lambda row: replace(row, amount=Decimal(told)))
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "trade", "other_amount", payment.out_trade_no, told, "50.00")]


def test_trade_that_stands_there_twice(order: Order, gateway: MemoryGateway) -> None:
    payment = pay(order, gateway)
    gateway.spoil_bill = lambda rows: [*rows, *rows]
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "trade", "other_amount", payment.out_trade_no, "100.00", "50.00")]


def test_trade_under_another_number_of_the_gateways(order: Order, gateway: MemoryGateway) -> None:
    payment = pay(order, gateway)
    gateway.spoil_bill = spoiling(lambda row: replace(row, trade_no="OTHER"))
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "trade", "other_trade", payment.out_trade_no, "50.00", "50.00")]


def test_row_of_an_unknown_kind(order: Order, gateway: MemoryGateway) -> None:
    payment = pay(order, gateway)
    gateway.spoil_bill = lambda rows: [*rows, replace(rows[0], kind=BillRowKind.OTHER)]
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "other", "missing_here", payment.out_trade_no, "50.00", "None")]


def refunded(order: Order, gateway: MemoryGateway) -> Refund:
    pay(order, gateway)
    refund = ask_refund(order)
    approve(refund)
    send(gateway)
    return refund


def test_refund_that_the_bill_lacks(order: Order, gateway: MemoryGateway) -> None:
    refund = refunded(order, gateway)
    gateway.spoil_bill = spoiling(lambda row: None if row.out_request_no else row)
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "refund", "missing_there", refund.out_request_no, "None", "50.00")]


def test_refund_of_another_amount(order: Order, gateway: MemoryGateway) -> None:
    refund = refunded(order, gateway)
    gateway.spoil_bill = spoiling(
        lambda row: replace(row, amount=Decimal("49.99")) if row.out_request_no else row
    )
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "refund", "other_amount", refund.out_request_no, "49.99", "50.00")]


def test_refund_of_an_unknown_trade(order: Order, gateway: MemoryGateway) -> None:
    pay(order, gateway)
    strange = replace(STRANGE, kind=BillRowKind.REFUND, out_request_no="R9")
    gateway.spoil_bill = lambda rows: [*rows, strange]
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "refund", "missing_here", "R9", "1.00", "None")]


def test_refund_marked_as_paid_elsewhere_that_the_gateway_paid_too(
    order: Order, gateway: MemoryGateway, staff: Account
) -> None:
    payment = pay(order, gateway)
    refund = ask_refund(order)
    deciding.mark_refund_paid_elsewhere(
        refund.pk, gateways=ConfiguredGateways(gateway), reference="银行", staff=staff, now=NOW, cause="test"
    )
    gateway.spoil_bill = lambda rows: [
        *rows, gateway.bill_row(gateway.trades[payment.out_trade_no], refund.out_request_no, refund.amount),
    ]  # fmt: skip
    plan(gateway)
    compare(gateway)
    assert differences()[0][:3] == ("open", "refund", "not_done_here")


def test_trade_in_the_bills_of_two_apps_counts_once(order: Order, gateway: MemoryGateway) -> None:
    pay(order, gateway)
    other = gateway.sibling(OTHER_APP_ID)
    rows = gateway._bill_of(DAY)
    gateway.spoil_bill = other.spoil_bill = lambda _: [*rows, STRANGE]
    plan(gateway, other)
    compare(gateway, other)
    assert BillEntry.objects.count() == 4
    assert differences() == [("open", "trade", "missing_here", "STRANGE1", "1.00", "None")]


# --- What ends by itself ------------------------------------------------------------------------------------


def test_payment_without_a_notification_is_queried_and_settled(order: Order, gateway: MemoryGateway) -> None:
    payment = start(order, gateway)
    gateway.pay(payment.out_trade_no)
    Payment.objects.update(available_at=None, dead_at=NOW)  # given up during an outage
    plan(gateway)
    transfers = LedgerTransfer.objects.count()
    compare(gateway)
    assert LedgerTransfer.objects.count() == transfers
    assert differences() == [("open", "trade", "not_done_here", payment.out_trade_no, "50.00", "50.00")]
    assert columns(payment, "status", "available_at", "dead_at") == (PaymentStatus.OPEN, READY, None)
    assert columns(order, "status") == (OrderStatus.AWAITING_PAYMENT,)
    ask(gateway, now=READY)
    assert columns(order, "status") == (OrderStatus.PAID,)
    bill = Bill.objects.get()
    assert bill.available_at == READY + comparing.LOOK_AGAIN_AFTER
    compare(gateway, now=READY + comparing.LOOK_AGAIN_AFTER)
    assert differences()[0][0] == "settled"
    assert columns(bill, "available_at", "attempts") == (None, 0)
    assert_books_are_right()


def test_external_refund_without_a_notification_is_reported_and_proven(
    order: Order, gateway: MemoryGateway
) -> None:
    payment = pay(order, gateway)
    gateway.console_refund(payment.out_trade_no, "CONSOLE1", Decimal("5.00"))
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "refund", "missing_here", "CONSOLE1", "5.00", "None")]
    refund = Refund.objects.get()
    assert (refund.kind, refund.status, refund.available_at) == (
        RefundKind.EXTERNAL, RefundStatus.REPORTED, READY,
    )  # fmt: skip
    send(gateway, now=READY)
    compare(gateway, now=READY + comparing.LOOK_AGAIN_AFTER)
    assert differences()[0][0] == "settled"
    assert columns(refund, "status", "amount") == (RefundStatus.SUCCEEDED, Decimal("5.00"))
    assert_books_are_right()


def test_refund_that_the_gateway_does_not_know_either_stays_open(
    order: Order, gateway: MemoryGateway
) -> None:
    payment = pay(order, gateway)
    ghost = gateway.bill_row(gateway.trades[payment.out_trade_no], "GHOST", Decimal("5.00"))
    gateway.spoil_bill = lambda rows: [*rows, ghost]
    plan(gateway)
    compare(gateway)
    send(gateway, now=READY)
    for minutes in range(1, 20):
        compare(gateway, now=READY + timedelta(minutes=minutes))
    assert differences() == [("open", "refund", "missing_here", "GHOST", "5.00", "None")]
    assert columns(Refund.objects.get(), "status") == (RefundStatus.REPORTED,)
    assert columns(Bill.objects.get(), "available_at") == (None,)


def test_refund_that_was_given_up_is_queried_again(order: Order, gateway: MemoryGateway) -> None:
    pay(order, gateway)
    refund = ask_refund(order)
    approve(refund)
    gateway.faults = [Fault.LOST_AFTER]
    send(gateway)
    Refund.objects.update(status=RefundStatus.FAILED, available_at=None, dead_at=NOW, finished_at=NOW)
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "refund", "not_done_here", refund.out_request_no, "50.00", "50.00")]
    assert columns(refund, "status", "available_at") == (RefundStatus.UNKNOWN, READY)
    send(gateway, now=READY)
    compare(gateway, now=READY + comparing.LOOK_AGAIN_AFTER)
    assert differences()[0][0] == "settled"


def test_whole_refund_without_a_number_covers_the_numbers_of_the_bill(
    order: Order, gateway: MemoryGateway
) -> None:
    payment = start(order, gateway)
    gateway.pay(payment.out_trade_no)
    gateway.console_refund(payment.out_trade_no, "CONSOLE1", Decimal("50.00"))
    ask(gateway, now=NOW + timedelta(minutes=5))
    ask(gateway, now=NOW + timedelta(minutes=10))
    assert Refund.objects.get().out_request_no == f"{payment.out_trade_no}E"
    plan(gateway)
    compare(gateway)
    assert differences() == []
    assert_books_are_right()


def test_what_the_gateway_contradicts_stays_open_and_the_bill_ends(
    order: Order, gateway: MemoryGateway
) -> None:
    """The bill says that it is paid, and the query that it isn't."""
    payment = start(order, gateway)
    gateway.scan(payment.out_trade_no)
    gateway.spoil_bill = lambda rows: [gateway.bill_row(gateway.trades[payment.out_trade_no])]
    plan(gateway)
    now = READY
    compare(gateway, now=now)
    while (due := Bill.objects.get().available_at) is not None:
        now = due
        ask(gateway, now=now)
        compare(gateway, now=now)
    assert now == READY + comparing.LOOK_AGAIN_FOR
    assert differences() == [("open", "trade", "not_done_here", payment.out_trade_no, "50.00", "50.00")]
    assert columns(order, "paid_at") == (None,)
    with nothing_changes():
        assert compare(gateway, now=now) == 0


def test_later_bill_ends_what_an_earlier_one_lacked(order: Order, gateway: MemoryGateway) -> None:
    payment = pay(order, gateway)
    rows = gateway._bill_of(DAY)
    gateway.spoil_bill = lambda _: [STRANGE]
    plan(gateway)
    compare(gateway)
    assert len(differences(status="open", order=order)) == 1
    gateway.spoil_bill = lambda _: rows
    plan(gateway, now=READY + timedelta(days=1))
    compare(gateway, now=READY + timedelta(days=1))
    assert differences(order=order) == [
        ("settled", "trade", "missing_there", payment.out_trade_no, "None", "50.00")
    ]


# --- Bills that can't be had --------------------------------------------------------------------------------


def test_bill_that_is_not_ready_is_asked_for_again(order: Order, gateway: MemoryGateway) -> None:
    pay(order, gateway)
    gateway.has_bills = False
    plan(gateway)
    assert compare(gateway) == 1
    bill = Bill.objects.get()
    assert (bill.status, bill.attempts) == (BillStatus.WAITING, 1)
    assert bill.available_at is not None
    assert READY < bill.available_at < READY + timedelta(minutes=1)
    assert bill.last_error == "GatewayRejected: BILL_NOT_EXIST"
    gateway.has_bills = True
    compare(gateway, now=bill.available_at)
    assert columns(bill, "status", "last_error") == (BillStatus.COMPARED, "")


def test_bill_that_never_comes_is_an_empty_one_only_where_nothing_should_be_in_it(
    order: Order, gateway: MemoryGateway
) -> None:
    payment = pay(order, gateway)
    gateway.has_bills = False
    later = planning.midnight_after(DAY, days=2)
    plan(gateway)
    compare(gateway, now=later)
    bill = Bill.objects.get()
    assert bill.status == BillStatus.WAITING
    Payment.objects.filter(pk=payment.pk).update(paid_at=NOW - timedelta(days=1))
    Bill.objects.update(available_at=later)
    compare(gateway, now=later - timedelta(seconds=1))
    assert columns(bill, "status") == (BillStatus.WAITING,)
    compare(gateway, now=later)
    assert columns(bill, "status", "trade_count") == (BillStatus.COMPARED, 0)


@pytest.mark.parametrize("fault", [Fault.LOST_BEFORE, Fault.LOST_AFTER])
def test_outage_changes_nothing_but_when_it_is_asked_for(
    order: Order, gateway: MemoryGateway, fault: Fault
) -> None:
    pay(order, gateway)
    plan(gateway)
    gateway.faults = [fault]
    before = everything()
    compare(gateway)
    after = everything()
    assert {name for name in after if after[name] != before[name]} == {"Bill"}
    compare(gateway, now=READY + timedelta(minutes=1))
    assert columns(Bill.objects.get(), "status") == (BillStatus.COMPARED,)


def test_bill_that_is_cut_off_leaves_nothing_behind(
    order: Order, gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(order, gateway)
    plan(gateway)
    monkeypatch.setattr(comparing, "CHUNK", 1)
    download = gateway.download_bill
    monkeypatch.setattr(gateway, "download_bill", lambda day: download(day)[:-1])
    compare(gateway)
    assert not BillEntry.objects.exists()
    assert Bill.objects.get().last_error == "BillUnreadable: not a bill"


def test_killed_worker_leaves_the_bill_to_the_next(order: Order, gateway: MemoryGateway) -> None:
    pay(order, gateway)
    plan(gateway)
    gateway.faults = [Fault.DIE_AFTER]
    with pytest.raises(Died):
        compare(gateway)
    assert (Bill.objects.get().status, BillEntry.objects.count()) == (BillStatus.WAITING, 0)
    assert compare(gateway) == 0  # its lease
    assert compare(gateway, now=READY + timedelta(minutes=2)) == 2
    assert (Bill.objects.get().status, BillEntry.objects.count()) == (BillStatus.COMPARED, 1)


def test_worker_that_hung_for_longer_than_its_lease_finds_the_bill_compared(
    order: Order, gateway: MemoryGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pay(order, gateway)
    plan(gateway)
    download = gateway.download_bill

    def overtaken(day: date) -> bytes:
        monkeypatch.setattr(gateway, "download_bill", download)
        Bill.objects.update(available_at=READY, attempts=0)
        compare(gateway)
        return download(day)

    monkeypatch.setattr(gateway, "download_bill", overtaken)
    compare(gateway)
    bill = Bill.objects.get()
    assert (bill.status, bill.trade_count, bill.last_error) == (BillStatus.COMPARED, 1, "")
    assert BillEntry.objects.count() == 1


def test_bill_that_was_given_up_is_picked_up(order: Order, gateway: MemoryGateway) -> None:
    pay(order, gateway)
    plan(gateway)
    bill = Bill.objects.get()
    with nothing_changes(), pytest.raises(WorkNotDead):
        explaining.pick_up_bill(bill.pk, now=READY)
    Bill.objects.update(attempts=Bill.MAX_ATTEMPTS)
    assert compare(gateway) == 0
    assert comparing.give_up_bills(now=READY) == 1
    assert columns(bill, "dead_at", "available_at") == (READY, None)
    explaining.pick_up_bill(bill.pk, now=READY)
    assert compare(gateway) == 2
    assert columns(bill, "status", "dead_at") == (BillStatus.COMPARED, None)


def test_app_that_is_not_configured_any_more_waits(order: Order, gateway: MemoryGateway) -> None:
    pay(order, gateway)
    other = gateway.sibling(OTHER_APP_ID)
    plan(gateway, other)
    compare(gateway)
    assert set(Bill.objects.values_list("app_id", "status")) == {
        (APP_ID, "compared"),
        (OTHER_APP_ID, "waiting"),
    }


# --- People -------------------------------------------------------------------------------------------------


@pytest.fixture
def difference(order: Order, gateway: MemoryGateway) -> BillDifference:
    pay(order, gateway)
    gateway.spoil_bill = spoiling(lambda row: replace(row, amount=Decimal("49.00")))
    plan(gateway)
    compare(gateway)
    return BillDifference.objects.get()


def explain(difference: BillDifference, staff: Account) -> BillDifference:
    return explaining.explain_difference(
        difference.pk, staff=staff, why="渠道优惠", reference="工单 7", now=READY, cause="request:1"
    )


def test_difference_is_explained_once(difference: BillDifference, order: Order, staff: Account) -> None:
    money = list(LedgerTransfer.objects.values_list())
    explain(difference, staff)
    assert columns(difference, "status", "ended_at", "explained_by", "why", "reference") == (
        DifferenceStatus.EXPLAINED, READY, staff.pk, "渠道优惠", "工单 7",
    )  # fmt: skip
    assert timeline(order)[-1] == OrderEvent.Kind.BILL_DIFFERENCE_EXPLAINED
    assert order.events.last().details["staff_note"] == "渠道优惠"  # type: ignore[union-attr]
    assert list(LedgerTransfer.objects.values_list()) == money
    with nothing_changes(), pytest.raises(DifferenceNotOpen):
        explain(difference, staff)
    assert_books_are_right()


def test_difference_that_was_explained_does_not_come_again(
    difference: BillDifference, staff: Account, gateway: MemoryGateway
) -> None:
    explain(difference, staff)
    Bill.objects.create(provider=gateway.name, app_id=OTHER_APP_ID, day=DAY, available_at=READY)
    other = gateway.sibling(OTHER_APP_ID)
    rows = gateway.spoil_bill(gateway._bill_of(DAY))
    other.spoil_bill = lambda _: rows
    compare(gateway, other)
    assert [row[0] for row in differences()] == ["explained"]


def test_later_bills_difference_replaces_it(order: Order, gateway: MemoryGateway) -> None:
    pay(order, gateway)
    gateway.spoil_bill = lambda rows: [*rows, STRANGE]
    plan(gateway)
    compare(gateway)
    assert differences() == [("open", "trade", "missing_here", "STRANGE1", "1.00", "None")]
    plan(gateway, now=READY + timedelta(days=1))
    compare(gateway, now=READY + timedelta(days=1))
    assert differences() == [
        ("settled", "trade", "missing_here", "STRANGE1", "1.00", "None"),
        ("open", "trade", "missing_here", "STRANGE1", "2.00", "None"),
    ]


def test_difference_without_an_order_is_explained(
    order: Order, gateway: MemoryGateway, staff: Account
) -> None:
    pay(order, gateway)
    gateway.spoil_bill = lambda rows: [*rows, STRANGE]
    plan(gateway)
    compare(gateway)
    explain(BillDifference.objects.get(), staff)
    assert differences() == [("explained", "trade", "missing_here", "STRANGE1", "1.00", "None")]


@pytest.mark.parametrize(
    "change",
    [
        {"told_amount": Decimal("1.00")},
        {"kind": DifferenceKind.MISSING_HERE},
        {"out_trade_no": "X"},
        {"status": DifferenceStatus.EXPLAINED},
        {"status": DifferenceStatus.SETTLED},
        {"why": "x"},
    ],
    ids=str,
)
def test_facts_of_a_difference_are_immutable_and_its_end_names_staff_and_reason(
    difference: BillDifference, change: dict[str, Any]
) -> None:
    with nothing_changes(), pytest.raises(IntegrityError), transaction.atomic():
        BillDifference.objects.update(**change)


def test_what_is_explained_stays_so(difference: BillDifference, staff: Account) -> None:
    explain(difference, staff)
    with nothing_changes(), pytest.raises(IntegrityError), transaction.atomic():
        BillDifference.objects.update(
            status=DifferenceStatus.OPEN, ended_at=None, explained_by=None, why="", reference=""
        )


@pytest.mark.parametrize("change", [{"amount": 1}, {"out_trade_no": "X"}, {"fee": 0}], ids=str)
def test_bill_rows_are_immutable(difference: BillDifference, change: dict[str, Any]) -> None:
    with nothing_changes(), pytest.raises(IntegrityError), transaction.atomic():
        BillEntry.objects.update(**change)


def test_audit_finds_a_bill_row_without_a_difference(difference: BillDifference) -> None:
    difference.delete()
    with pytest.raises(AssertionError, match="bills_are_accounted_for"):
        assert_books_are_right()
