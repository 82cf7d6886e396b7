"""Books what became of a refund of ours at the gateway: done, or refused."""

from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import F

from payments.domain.locks import lock_refund
from payments.domain.refunds import concluding
from payments.domain.refunds.lines import parts_of
from payments.models import Payment, Refund
from payments.states import REFUNDS_UNDER_WAY, RefundKind, RefundStatus
from shop import results
from shop.domain import ledger, sql
from shop.domain.orders import order_refunds
from shop.domain.orders.timeline import event, record
from shop.domain.pricing.refund_shares import Share
from shop.errors import StaleState
from shop.models import LedgerTransfer, OrderEvent
from shop.tracing import batch_did

log = structlog.get_logger(__name__)

Kind = OrderEvent.Kind


def succeed(refund_id: int, *, now: datetime, cause: str) -> None:
    """Books a refund that the gateway has proven, once.

    Raises:
        NotFound: no such refund.
    """
    with transaction.atomic(durable=True):
        refund = lock_refund(refund_id)
        if refund.status not in REFUNDS_UNDER_WAY:
            return
        refund.status, refund.finished_at, refund.available_at = RefundStatus.SUCCEEDED, now, None
        refund.save(update_fields=["status", "finished_at", "available_at"])
        if refund.payment is not None:
            _count(refund, refund.payment)
        _book(refund, now=now, cause=cause)
        if refund.payment is not None:
            concluding.conclude(refund.payment, now=now, cause=cause)
    batch_did("refund_succeeded", [refund.order.trace_id], {"succeeded": 1})


def fail(refund_id: int, why: str, *, now: datetime, cause: str) -> None:
    """Hands a refund to people once the gateway refuses it or its attempts are used up. The money is still
    owed.

    Raises:
        NotFound: no such refund.
    """
    with transaction.atomic(durable=True):
        fail_locked(lock_refund(refund_id), why, now=now, cause=cause)


def fail_locked(refund: Refund, why: str, *, now: datetime, cause: str) -> None:
    """As `fail`, in the caller's transaction, which holds the refund's lock."""
    if refund.status not in {*REFUNDS_UNDER_WAY, RefundStatus.REQUESTED}:
        return
    refund.status, refund.outcome, refund.finished_at, refund.available_at = (
        RefundStatus.FAILED,
        why,
        now,
        None,
    )
    refund.save(update_fields=["status", "outcome", "finished_at", "available_at"])
    record([event(refund.order, Kind.REFUND_FAILED, now=now, cause=cause, why=why)])
    if refund.payment is not None:
        concluding.conclude(refund.payment, now=now, cause=cause)
    results.count(failed=1)
    log.error(
        "refund_failed",
        out_request_no=refund.out_request_no,
        why=why,
        trace_id=refund.order.trace_id,
        alert=True,
    )


def _count(refund: Refund, payment: Payment) -> None:
    moved = Payment.objects.filter(
        pk=payment.pk, refunded_amount__lte=F("refund_committed") + F("external_refunded") - refund.amount
    ).update(refunded_amount=F("refunded_amount") + refund.amount)
    if moved != 1:
        raise StaleState(f"payment {payment.out_trade_no} has no such refund committed")


def _book(refund: Refund, *, now: datetime, cause: str) -> None:
    if refund.kind != RefundKind.SURPLUS:
        share = Share(refund.amount, refund.beili)
        order_refunds.apply_refund(
            refund.order, parts_of(refund), share, key=refund.out_request_no, now=now, cause=cause
        )
        return
    book = LedgerTransfer.Book.REFUNDS
    sql.insert(
        [ledger.surplus_out(refund.order, refund.amount, cash_book=book, key=refund.out_request_no, now=now)]
    )
    record(
        [event(refund.order, Kind.REFUND_SUCCEEDED, now=now, cause=cause, alipay=str(refund.amount), beili=0)]
    )
