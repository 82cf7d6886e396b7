"""Downloading bills, and comparing them with the shop's books. Nothing here moves money.

A bill is downloaded outside any transaction, and stored and compared in one. What a bill says and our books
don't is queried afterwards, as for an unexpected notification: the gateway's answer is applied, by the one
routine that applies answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Q

from payments.domain.bills.differences import note_differences, settle_differences
from payments.domain.bills.planning import midnight_after
from payments.domain.calling import Callers, Errand, run
from payments.domain.locks import lock_bill, lock_payment
from payments.domain.refunds import external
from payments.domain.trades import settlement
from payments.gateways.protocol import BillRow, GatewayRejected, Gateways, Refusal
from payments.models import Bill, BillDifference, BillEntry, Payment, Refund
from payments.states import BillRowKind, BillStatus, DifferenceKind, DifferenceStatus
from shop.domain import sql
from shop.domain.work import due_rows
from shop.money import ZERO

log = structlog.get_logger(__name__)

# How many rows of a bill are inserted by one statement.
CHUNK = 2000
# A bill that has caused queries is checked again at this interval, for this long: queries take seconds. What
# is still open then waits for the next day's bill, or for staff.
LOOK_AGAIN_AFTER = timedelta(minutes=1)
LOOK_AGAIN_FOR = timedelta(minutes=15)
# After this many days a bill that doesn't exist yet counts as empty, unless our books have something that
# belongs in it.
EMPTY_AFTER_DAYS = 2
# Differences that a query of the gateway can resolve.
_ASKED_ABOUT = Q(kind=DifferenceKind.NOT_DONE_HERE) | Q(
    kind=DifferenceKind.MISSING_HERE, subject=BillRowKind.REFUND
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A bill to be downloaded. `can_be_empty`: our books have nothing that belongs in it, and its day is long
    past.
    """

    bill: Bill
    can_be_empty: bool

    @property
    def row_id(self) -> int:
        return self.bill.pk

    @property
    def trace_id(self) -> str:
        return ""  # it is about many purchases


def compare_due_bills(*, gateways: Gateways, now: datetime, callers: Callers | None = None) -> int:
    """Claims due bills, downloads and compares them; returns how many it claimed."""
    errand = Errand(
        Bill,
        lambda ids: _prepare(ids, now=now),
        lambda wanted: _download(wanted, gateways=gateways),
        lambda answers: _settle(answers, gateways=gateways, now=now),
        batch=1,
    )
    return run(errand, gateways=gateways, now=now, callers=callers)


def give_up_bills(*, now: datetime) -> int:
    """Leaves bills that can't be downloaded or read to staff; returns how many."""
    return len(due_rows.bury_exhausted(Bill, now=now))


def _prepare(bill_ids: Sequence[int], *, now: datetime) -> list[_Wanted]:
    wanted = []
    for bill in Bill.objects.filter(pk__in=bill_ids, available_at__isnull=False).order_by("pk"):
        if bill.status == BillStatus.WAITING:
            is_over = now >= midnight_after(bill.day, days=EMPTY_AFTER_DAYS)
            wanted.append(_Wanted(bill, is_over and not _expects_any(bill)))
        else:
            _follow_up(bill, now=now)
    return wanted


def _expects_any(bill: Bill) -> bool:
    """Whether our books have something that belongs in it."""
    day = (midnight_after(bill.day, days=0), midnight_after(bill.day))
    payments = Payment.objects.filter(provider=bill.provider, app_id=bill.app_id)
    refunds = Refund.objects.filter(payment__provider=bill.provider, payment__app_id=bill.app_id)
    return (
        payments.filter(paid_at__gte=day[0], paid_at__lt=day[1]).exists()
        or refunds.filter(finished_at__gte=day[0], finished_at__lt=day[1]).exists()
    )


def _download(wanted: _Wanted, *, gateways: Gateways) -> bytes | None:
    """The archive, or None if the day had no transactions."""
    try:
        return gateways.gateway_for(wanted.bill).download_bill(wanted.bill.day)
    except GatewayRejected as refusal:
        if refusal.refusal is Refusal.NO_BILL and (refusal.is_final or wanted.can_be_empty):
            return None
        raise


def _settle(answers: Sequence[tuple[_Wanted, bytes | None]], *, gateways: Gateways, now: datetime) -> None:
    for wanted, archive in answers:
        with transaction.atomic(durable=True):
            bill = lock_bill(wanted.bill.pk)
            if bill.status != BillStatus.WAITING:
                continue
            if archive is not None:
                _store(bill, archive, gateways=gateways)
            found = note_differences(bill, now=now)
            # Nothing has failed, so the attempts start at zero. The bill is due at once, for the queries that
            # it causes.
            bill.status, bill.compared_at, bill.available_at = BillStatus.COMPARED, now, now
            bill.attempts, bill.last_error, bill.dead_at = 0, "", None
            bill.save()
        log.info(
            "bill_compared",
            day=bill.day.isoformat(),
            app_id=bill.app_id,
            rows=bill.trade_count + bill.refund_count,
        )
        if found:
            log.warning("bill_differs", day=bill.day.isoformat(), app_id=bill.app_id, differences=found)


def _store(bill: Bill, archive: bytes, *, gateways: Gateways) -> None:
    """Stores the bill's rows, and sets its totals without saving them."""
    totals = dict.fromkeys(BillRowKind, (0, ZERO))
    chunk: list[BillEntry] = []
    for row in gateways.gateway_for(bill).read_bill(archive):
        chunk.append(_entry_of(bill, row))
        count, total = totals[row.kind]
        totals[row.kind] = (count + 1, total + row.amount)
        bill.fee_total += row.fee
        if len(chunk) == CHUNK:
            sql.insert(chunk)
            chunk = []
    sql.insert(chunk)
    bill.trade_count, bill.trade_total = totals[BillRowKind.TRADE]
    bill.refund_count, bill.refund_total = totals[BillRowKind.REFUND]


def _entry_of(bill: Bill, row: BillRow) -> BillEntry:
    return BillEntry(
        bill=bill,
        kind=row.kind,
        trade_no=row.trade_no,
        out_trade_no=row.out_trade_no,
        out_request_no=row.out_request_no,
        amount=row.amount,
        fee=row.fee,
    )


def _follow_up(bill: Bill, *, now: datetime) -> None:
    """Queries what only the bill knows, and settles the differences that have been resolved."""
    with transaction.atomic(durable=True):
        settle_differences(now=now)
    waiting = BillDifference.objects.filter(_ASKED_ABOUT, bill=bill, status=DifferenceStatus.OPEN)
    to_ask = waiting.filter(asked_at__isnull=True, payment__isnull=False)
    for difference in to_ask.order_by("payment_id", "id"):
        _ask(difference, now=now)
    assert bill.compared_at is not None
    is_asked = waiting.filter(asked_at__isnull=False).exists()
    look_again_at = now + LOOK_AGAIN_AFTER if is_asked and now < bill.compared_at + LOOK_AGAIN_FOR else None
    Bill.objects.filter(pk=bill.pk).update(
        available_at=look_again_at, attempts=0, last_error="", dead_at=None
    )


def _ask(difference: BillDifference, *, now: datetime) -> None:
    assert difference.payment_id is not None
    with transaction.atomic(durable=True):
        payment = lock_payment(difference.payment_id)
        if difference.subject == BillRowKind.REFUND and difference.out_request_no:
            external.note_movement(payment, difference.out_request_no, now=now)
        if difference.subject == BillRowKind.TRADE:
            settlement.ask_again(payment, at=now)
        BillDifference.objects.filter(pk=difference.pk).update(asked_at=now)
