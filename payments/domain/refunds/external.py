"""Refunds that were made without us: told by the gateway under their own numbers, proven by a query, booked, and explained.

A refund is known by its number, never by a sum. While one is unproven or unexplained, or the gateway's total is above what our rows say,
no other refund of that payment leaves.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet

from payments.domain.locks import lock_refund
from payments.domain.refunds.lines import attach_lines, release_lines, release_money, share_for
from payments.domain.refunds.surplus import fit_surplus_refund
from payments.gateways.protocol import Gateways, GatewayUnreachable, RefundMovement, TradeReport
from payments.models import Payment, Refund, RefundLine
from payments.states import REFUNDS_UNDER_WAY, Explanation, PaymentStatus, RefundKind, RefundStatus
from shop.domain import ledger, refunding, rows
from shop.domain.shares import whole_part, within
from shop.domain.timeline import event, record
from shop.errors import StaleState
from shop.models import LedgerTransfer, Order, OrderEvent, OrderLine
from shop.money import ZERO
from shop.states import OrderStatus

log = structlog.get_logger(__name__)

Kind = OrderEvent.Kind
Book = LedgerTransfer.Book
DONE = (RefundStatus.SUCCEEDED, RefundStatus.PAID_ELSEWHERE)


# How a payment says that the gateway has told of more refunds than our rows account for.
DIFFERENCE = "refunds differ"


class Noted(Enum):
    """What a report tells of refunds, compared with our rows."""

    NOTHING = auto()
    KNOWN = auto()
    # One that we didn't order: it is a row now, due to be proven.
    NEW = auto()
    # The gateway's total is above ours, and no number says why.
    DIFFERENCE = auto()


def note_refunds(payment: Payment, report: TradeReport, *, now: datetime) -> Noted:
    """Compares what a report tells of refunds with our rows, in the caller's transaction, which holds the payment's lock.

    A number that we didn't send becomes an external refund, due to be proven. One of ours that is under way, or that we had given up as
    failed, becomes due to be asked about.
    """
    if not report.refunded:
        return Noted.NOTHING
    # What our rows say anyway is nothing to note.
    if Payment.objects.filter(pk=payment.pk, refund_told__lt=report.refunded, refunded_amount__lt=report.refunded).update(
        refund_told=report.refunded
    ):
        payment.refund_told = report.refunded
    news = [movement for movement in report.movements if _note(payment, movement, now=now)]
    if news:
        return Noted.NEW
    return Noted.DIFFERENCE if has_difference(payment) else Noted.KNOWN


def is_unexplained(payment: Payment) -> bool:
    """Whether anything about the payment's refunds waits to be proven or explained. Until then no refund of ours may leave."""
    return _to_explain(payment).exists() or has_difference(payment)


def has_difference(payment: Payment) -> bool:
    """Whether the gateway has told of more refunds than our rows account for, and nothing is under way that could be the rest."""
    told, gone = Payment.objects.values_list("refund_told", "refunded_amount").get(pk=payment.pk)
    return told > gone and not find_pending(payment).exists()


def find_pending(payment: Payment) -> QuerySet[Refund]:
    """The payment's refunds whose outcome at the gateway is still to be learnt, ours and others'."""
    return Refund.objects.filter(payment=payment).filter(Q(status__in=REFUNDS_UNDER_WAY) | Q(status=RefundStatus.REPORTED))


def prove_external(refund_id: int, *, gateways: Gateways, now: datetime, cause: str) -> None:
    """Asks the gateway about a refund that it told of and books the answer: how much it was, and that it is no longer with us.

    Raises:
        GatewayUnreachable: it can't be asked, doesn't know the number (yet), or the payment itself isn't booked yet.
        GatewayRejected, GatewayNotConfigured: nothing has changed.
    """
    refund = Refund.objects.select_related("payment").get(pk=refund_id)
    if refund.status == RefundStatus.REPORTED:
        book_external(refund_id, find_movement(refund, gateways=gateways), now=now, cause=cause)


def find_movement(refund: Refund, *, gateways: Gateways) -> RefundMovement:
    """What the gateway says of a refund that it told of; no database.

    Raises:
        GatewayUnreachable: it can't be asked, or doesn't know the number (yet).
        GatewayRejected, GatewayNotConfigured
    """
    assert refund.payment is not None
    movement = gateways.gateway_for(refund.payment).find_refund(refund.payment.out_trade_no, refund.out_request_no)
    if movement is None or movement.amount is None:
        raise GatewayUnreachable(f"the gateway has no refund {refund.out_request_no} (yet)")
    return movement


def book_external(refund_id: int, movement: RefundMovement, *, now: datetime, cause: str) -> None:
    """Books a reported refund as the gateway has proven it, once.

    Raises:
        GatewayUnreachable: the payment itself isn't booked yet.
    """
    with transaction.atomic(durable=True):
        refund = lock_refund(refund_id)
        assert refund.payment is not None
        if refund.status != RefundStatus.REPORTED:
            return
        if refund.payment.paid_at is None:
            raise GatewayUnreachable("the payment of this refund isn't booked yet")
        _book(refund, movement, now=now, cause=cause)
        conclude(refund.payment, now=now, cause=cause)


def book_whole(payment: Payment, *, now: datetime, cause: str) -> bool:
    """The gateway says that the trade is closed and was paid, so all of it has gone back. Books what no number accounts for, if anything.

    In the caller's transaction, which holds the payment's lock. Returns whether the trade should be asked about again: refunds that are
    pending have to end first. One that could never be proven waits for staff to dismiss it.
    """
    Payment.objects.filter(pk=payment.pk).update(refund_told=F("amount"))
    pending = find_pending(payment)
    if pending.filter(dead_at__isnull=True).update(available_at=now):
        return True
    if pending.exists():
        return False
    payment.refresh_from_db(fields=["amount", "refund_told", "refunded_amount"])
    rest = payment.amount - payment.refunded_amount
    if rest:
        refund = _report(payment, stand_in_number(payment), now=now)
        _book(refund, RefundMovement(refund.out_request_no, rest, None), now=now, cause=cause)
    conclude(payment, now=now, cause=cause)
    return False


def stand_in_number(payment: Payment) -> str:
    """Stands for the numbers that the gateway didn't tell of a payment that it has given back whole."""
    return f"{payment.out_trade_no}E"


def conclude(payment: Payment, *, now: datetime, cause: str) -> None:
    """Draws what follows by itself once a refund is booked or refused, in the caller's transaction, which holds the payment's lock.

    Money that nobody owed needs no explanation. A payment of which nothing is left ends its order. If our rows don't reach what the
    gateway has told, the trade is asked about again if all of it may be gone, else it is left to people.
    """
    payment.refresh_from_db(fields=["amount", "refund_told", "refunded_amount", "external_refunded", "is_surplus", "status"])
    unexplained = list(_to_explain(payment).filter(status=RefundStatus.SUCCEEDED).order_by("pk"))
    if payment.is_surplus or payment.status == PaymentStatus.CLOSED:
        _explain_surplus(payment, unexplained, now=now)
        fit_surplus_refund(payment, now=now, cause=cause)
    elif payment.refunded_amount == payment.amount and unexplained and not find_pending(payment).exists():
        _end_order(payment, unexplained, now=now, cause=cause)
    _watch_difference(payment, now=now)


def _watch_difference(payment: Payment, *, now: datetime) -> None:
    row = Payment.objects.filter(pk=payment.pk)
    if not has_difference(payment):
        row.filter(last_error__startswith=DIFFERENCE).update(dead_at=None, last_error="")
    elif payment.refund_told == payment.amount:
        row.update(available_at=now, attempts=0, dead_at=None)
    else:
        told = f"{DIFFERENCE}: {payment.refund_told} told, {payment.refunded_amount} known"
        row.update(available_at=None, dead_at=now, last_error=told)
        log.error("refunds_differ", out_trade_no=payment.out_trade_no, told=str(payment.refund_told), alert=True)


def wake_held_back(payment: Payment, *, now: datetime) -> None:
    """Makes the approved refunds due that were held back while something was unexplained."""
    held = Refund.objects.filter(payment=payment, status=RefundStatus.REQUESTED, approved_at__isnull=False, available_at__gt=now)
    held.update(available_at=now)


def report_external(payment: Payment, number: str, *, now: datetime) -> Refund | None:
    """A refund that somebody tells of by its number, due to be proven, in the caller's transaction, which holds the payment's lock.

    None if the number is known.
    """
    known = Refund.objects.filter(payment=payment, out_request_no=number)
    is_ours = known.filter(status__in=[*REFUNDS_UNDER_WAY, RefundStatus.SUCCEEDED]).exists()
    if is_ours or known.filter(kind=RefundKind.EXTERNAL).exists():
        return None
    return _report(payment, number, now=now)


def _note(payment: Payment, movement: RefundMovement, *, now: datetime) -> bool:
    """Whether the movement is news."""
    ours = Refund.objects.filter(payment=payment, out_request_no=movement.number).exclude(kind=RefundKind.EXTERNAL)
    given_up = ours.filter(status=RefundStatus.FAILED, sent_at__isnull=False)
    if given_up.update(status=RefundStatus.UNKNOWN, finished_at=None, outcome="", dead_at=None, attempts=0, available_at=now):
        return False
    ours.filter(status__in=REFUNDS_UNDER_WAY, available_at__gt=now).update(available_at=now)
    refund = report_external(payment, movement.number, now=now)
    if refund is not None:
        log.warning("external_refund_reported", out_trade_no=payment.out_trade_no, number=movement.number)
    return refund is not None


def _report(payment: Payment, number: str, *, now: datetime) -> Refund:
    return Refund.objects.create(
        kind=RefundKind.EXTERNAL,
        status=RefundStatus.REPORTED,
        order_id=payment.order_id,
        payment=payment,
        out_request_no=number,
        amount=ZERO,  # until it is proven
        requested_at=now,
        available_at=now,
    )


def _to_explain(payment: Payment) -> QuerySet[Refund]:
    return Refund.objects.filter(payment=payment, kind=RefundKind.EXTERNAL, explanation="").exclude(status=RefundStatus.REJECTED)


def _book(refund: Refund, movement: RefundMovement, *, now: datetime, cause: str) -> None:
    payment, amount = refund.payment, movement.amount
    assert payment is not None
    assert amount is not None
    if _is_in_stand_in(payment, refund):
        _reject(refund, f"已包含在 {stand_in_number(payment)}", now=now)
        return
    moved = Payment.objects.filter(pk=payment.pk, paid_at__isnull=False, refunded_amount__lte=F("amount") - amount).update(
        refunded_amount=F("refunded_amount") + amount, external_refunded=F("external_refunded") + amount
    )
    if moved != 1:
        raise StaleState(f"{payment.out_trade_no} can't have {amount} refunded: more would have gone than came")
    refund.status, refund.amount, refund.finished_at, refund.available_at = RefundStatus.SUCCEEDED, amount, movement.at or now, None
    refund.save(update_fields=["status", "amount", "finished_at", "available_at"])
    rows.insert([ledger.external_out(payment.order, amount, key=str(refund.pk), now=now)])
    record([event(payment.order, Kind.EXTERNAL_REFUND, now=now, cause=cause, alipay=str(amount), out_request_no=refund.out_request_no)])
    log.error("external_refund", out_trade_no=payment.out_trade_no, number=refund.out_request_no, amount=str(amount), alert=True)


def _is_in_stand_in(payment: Payment, refund: Refund) -> bool:
    """Whether all of the payment was booked as gone before this number was told."""
    stand_in = Refund.objects.filter(payment=payment, kind=RefundKind.EXTERNAL, out_request_no=stand_in_number(payment))
    return stand_in.filter(status=RefundStatus.SUCCEEDED).exclude(pk=refund.pk).exists()


def _explain_surplus(payment: Payment, unexplained: Sequence[Refund], *, now: datetime) -> None:
    for refund in unexplained:
        key = f"external:{refund.pk}"
        rows.insert([ledger.surplus_out(payment.order, refund.amount, cash_book=Book.EXTERNAL_REFUNDS, key=key, now=now)])
        mark_explained(refund, Explanation.SURPLUS, now=now)


def _end_order(payment: Payment, unexplained: Sequence[Refund], *, now: datetime, cause: str) -> None:
    """Nothing of the payment is left: what remains of its order has been refunded by it, and refunds that wait for approval are moot."""
    order = payment.order
    if Order.objects.values_list("status", flat=True).get(pk=order.pk) != OrderStatus.PAID:
        return  # its courses went back another way, so this money was a gift; staff say so
    _reject_waiting(payment, now=now)
    done = RefundLine.objects.filter(order_line__order=order, is_live=True).values("order_line_id")
    lines = list(OrderLine.objects.filter(order=order).exclude(pk__in=done).order_by("id"))
    return_lines(payment, unexplained, lines, Explanation.WHOLE, now=now, cause=cause)


def return_lines(
    payment: Payment,
    externals: Sequence[Refund],
    lines: Sequence[OrderLine],
    explanation: Explanation,
    *,
    now: datetime,
    cause: str,
    **told: str,
) -> None:
    """Books external refunds as the return of these lines: the courses and their 贝里 go back. What is above the lines' cash is a gift.

    `told` are more details for the timeline.
    """
    total, last = sum((refund.amount for refund in externals), ZERO), externals[-1]
    parts = within([whole_part(line) for line in lines], total)
    share = share_for(payment.order, parts)
    attach_lines(last, parts)
    Refund.objects.filter(pk=last.pk).update(beili=share.beili)
    key = f"external:{last.pk}"
    refunding.apply_refund(payment.order, parts, share, key=key, now=now, cause=cause, cash_book=Book.EXTERNAL_REFUNDS)
    if gift := total - share.cash:
        rows.insert([ledger.goodwill_out(payment.order, gift, key=key, now=now)])
    for refund in externals:
        mark_explained(refund, explanation, now=now)
    told = {"explanation": explanation.value, "alipay": str(total), **told}
    record([event(payment.order, Kind.EXTERNAL_REFUND_EXPLAINED, now=now, cause=cause, **told)])


def mark_explained(refund: Refund, explanation: Explanation, *, now: datetime) -> None:
    """Notes what a booked external refund was for, once.

    Raises:
        StaleState: it isn't booked, or is explained already.
    """
    proven = Refund.objects.filter(pk=refund.pk, kind=RefundKind.EXTERNAL, status=RefundStatus.SUCCEEDED, explanation="")
    if proven.update(explanation=explanation, explained_at=now) != 1:
        raise StaleState(f"external refund {refund.out_request_no} is not waiting for an explanation")


def _reject_waiting(payment: Payment, *, now: datetime) -> None:
    """Ends the order's refunds that are asked for or have failed: their money has gone back."""
    waiting = Refund.objects.filter(
        order_id=payment.order_id, kind=RefundKind.ORDER, status__in=[RefundStatus.REQUESTED, RefundStatus.FAILED]
    )
    for refund in waiting:
        _reject(refund, "支付渠道侧已整单退款", now=now)
        release_lines(refund)
        release_money(refund)


def _reject(refund: Refund, why: str, *, now: datetime) -> None:
    refund.status, refund.outcome, refund.finished_at, refund.available_at, refund.dead_at = RefundStatus.REJECTED, why, now, None, None
    refund.save(update_fields=["status", "outcome", "finished_at", "available_at", "dead_at"])
