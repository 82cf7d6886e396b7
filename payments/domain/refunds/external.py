"""Refunds that were made without us: reported by the gateway under their own numbers, proven by a query,
booked, and explained.

A refund is identified by its number, never by an amount. While one is unproven or unexplained, or the
gateway's total exceeds what our rows say, no other refund of that payment is sent.
"""

from datetime import datetime
from enum import Enum, auto

import structlog
from django.db import transaction
from django.db.models import F

from payments.domain.locks import lock_refund
from payments.domain.refunds.concluding import conclude, find_pending, has_difference, reject
from payments.gateways.protocol import Gateways, GatewayUnreachable, RefundMovement, TradeReport
from payments.models import Payment, Refund
from payments.states import REFUNDS_UNDER_WAY, RefundKind, RefundStatus
from shop.domain import ledger, sql
from shop.domain.locks import existing
from shop.domain.orders.timeline import event, record
from shop.errors import StaleState
from shop.models import OrderEvent
from shop.money import ZERO

log = structlog.get_logger(__name__)

Kind = OrderEvent.Kind
DONE = (RefundStatus.SUCCEEDED, RefundStatus.PAID_ELSEWHERE)


class Noted(Enum):
    """What a report tells of refunds, compared with our rows."""

    NOTHING = auto()
    KNOWN = auto()
    # One that we didn't order: it is a row now, due to be proven.
    NEW = auto()
    # The gateway's total is above ours, and no number says why.
    DIFFERENCE = auto()


def note_refunds(payment: Payment, report: TradeReport, *, now: datetime) -> Noted:
    """Compares what a report tells of refunds with our rows, in the caller's transaction, which holds the
    payment's lock.

    A number that we didn't send becomes an external refund, due to be proven. One of ours that is under way,
    or that we had given up as failed, becomes due to be asked about.
    """
    if not report.refunded:
        return Noted.NOTHING
    # What our rows say anyway is nothing to note.
    if Payment.objects.filter(
        pk=payment.pk, refund_told__lt=report.refunded, refunded_amount__lt=report.refunded
    ).update(refund_told=report.refunded):
        payment.refund_told = report.refunded
    news = [movement for movement in report.movements if note_movement(payment, movement.number, now=now)]
    if news:
        return Noted.NEW
    return Noted.DIFFERENCE if has_difference(payment) else Noted.KNOWN


def note_movement(payment: Payment, number: str, *, now: datetime) -> bool:
    """The gateway tells of a refund by its number, in the caller's transaction, which holds the payment's
    lock.

    One that we didn't order becomes a row, due to be proven; one of ours that is under way, or that we had
    given up as failed, becomes due to be asked about. Returns whether it was news.
    """
    ours = Refund.objects.filter(payment=payment, out_request_no=number).exclude(kind=RefundKind.EXTERNAL)
    given_up = ours.filter(status=RefundStatus.FAILED, sent_at__isnull=False)
    if given_up.update(
        status=RefundStatus.UNKNOWN, finished_at=None, outcome="", dead_at=None, attempts=0, available_at=now
    ):
        return False
    ours.filter(status__in=REFUNDS_UNDER_WAY, available_at__gt=now).update(available_at=now)
    refund = report_external(payment, number, now=now)
    if refund is not None:
        log.warning("external_refund_reported", out_trade_no=payment.out_trade_no, number=number)
    return refund is not None


def prove_external(refund_id: int, *, gateways: Gateways, now: datetime, cause: str) -> None:
    """Asks the gateway about a refund that it told of and books the answer: how much it was, and that it is
    no longer with us.

    Raises:
        NotFound: no such refund.
        GatewayUnreachable: it can't be asked, doesn't know the number (yet), or the payment itself isn't
            booked yet.
        GatewayRejected, GatewayNotConfigured: nothing has changed.
    """
    refund = existing(Refund.objects.select_related("payment").filter(pk=refund_id).first())
    if refund.status == RefundStatus.REPORTED:
        book_external(refund_id, find_movement(refund, gateways=gateways), now=now, cause=cause)


def find_movement(refund: Refund, *, gateways: Gateways) -> RefundMovement:
    """What the gateway says of a refund that it reported. Uses no database.

    Raises:
        GatewayUnreachable: it can't be asked, or doesn't know the number (yet).
        GatewayRejected, GatewayNotConfigured
    """
    assert refund.payment is not None
    movement = gateways.gateway_for(refund.payment).find_refund(
        refund.payment.out_trade_no, refund.out_request_no
    )
    if movement is None or movement.amount is None:
        raise GatewayUnreachable(f"the gateway has no refund {refund.out_request_no} (yet)")
    return movement


def book_external(refund_id: int, movement: RefundMovement, *, now: datetime, cause: str) -> None:
    """Books a reported refund as the gateway has proven it, once.

    Raises:
        NotFound: no such refund.
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
    """The gateway says that the trade is closed and was paid, so all of it has gone back.

    Books what no number accounts for, if anything.

    In the caller's transaction, which holds the payment's lock. Returns whether the trade should be asked
    about again: refunds that are pending have to end first. One that could never be proven waits for staff to
    dismiss it.
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


def report_external(payment: Payment, number: str, *, now: datetime) -> Refund | None:
    """A refund that somebody tells of by its number, due to be proven, in the caller's transaction, which
    holds the payment's lock.

    None if the number is known.
    """
    known = Refund.objects.filter(payment=payment, out_request_no=number)
    is_ours = known.filter(status__in=[*REFUNDS_UNDER_WAY, RefundStatus.SUCCEEDED]).exists()
    if is_ours or known.filter(kind=RefundKind.EXTERNAL).exists():
        return None
    return _report(payment, number, now=now)


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


def _book(refund: Refund, movement: RefundMovement, *, now: datetime, cause: str) -> None:
    payment, amount = refund.payment, movement.amount
    assert payment is not None
    assert amount is not None
    if _is_in_stand_in(payment, refund):
        reject(refund, f"已包含在 {stand_in_number(payment)}", now=now)
        return
    moved = Payment.objects.filter(
        pk=payment.pk, paid_at__isnull=False, refunded_amount__lte=F("amount") - amount
    ).update(refunded_amount=F("refunded_amount") + amount, external_refunded=F("external_refunded") + amount)
    if moved != 1:
        raise StaleState(
            f"{payment.out_trade_no} can't have {amount} refunded: more would have gone than came"
        )
    refund.status, refund.amount, refund.finished_at, refund.available_at = (
        RefundStatus.SUCCEEDED,
        amount,
        movement.at or now,
        None,
    )
    refund.save(update_fields=["status", "amount", "finished_at", "available_at"])
    sql.insert([ledger.external_out(payment.order, amount, key=str(refund.pk), now=now)])
    record(
        [
            event(
                payment.order,
                Kind.EXTERNAL_REFUND,
                now=now,
                cause=cause,
                alipay=str(amount),
                out_request_no=refund.out_request_no,
            )
        ]
    )
    log.error(
        "external_refund",
        out_trade_no=payment.out_trade_no,
        number=refund.out_request_no,
        amount=str(amount),
        alert=True,
    )


def _is_in_stand_in(payment: Payment, refund: Refund) -> bool:
    """Whether all of the payment was booked as gone before this number was told."""
    stand_in = Refund.objects.filter(
        payment=payment, kind=RefundKind.EXTERNAL, out_request_no=stand_in_number(payment)
    )
    return stand_in.filter(status=RefundStatus.SUCCEEDED).exclude(pk=refund.pk).exists()
