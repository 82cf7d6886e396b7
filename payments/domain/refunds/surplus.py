"""Money that nobody owed, because it came too late or a second time, is refunded automatically."""

from datetime import datetime

from django.db import transaction

from payments.domain.locks import lock_payment
from payments.domain.refunds.lines import commit_money, find_cash_left, release_money
from payments.errors import OrderNotRefundable
from payments.models import Payment, Refund
from payments.states import RefundKind, RefundStatus
from shop.domain.orders.timeline import event, record
from shop.models import OrderEvent
from shop.money import ZERO


def order_surplus_refund(payment: Payment, *, now: datetime, cause: str) -> Refund | None:
    """Orders a refund of what is left of the payment, in the caller's transaction, which holds its lock.

    It needs no approval.

    None when nothing is left: it has gone back without us, or another refund has it.
    """
    left = find_cash_left(payment)
    if left <= ZERO:
        return None
    earlier = Refund.objects.filter(payment=payment, kind=RefundKind.SURPLUS).count()
    refund = Refund.objects.create(
        kind=RefundKind.SURPLUS,
        order=payment.order,
        payment=payment,
        out_request_no=f"{payment.out_trade_no}S{earlier + 1 if earlier else ''}",
        amount=left,
        reason="多付退回",
        requested_at=now,
        approved_at=now,
        available_at=now,
    )
    commit_money(payment, left)
    record([event(payment.order, OrderEvent.Kind.REFUND_APPROVED, now=now, cause=cause, alipay=str(left))])
    return refund


def request_surplus_refund(payment_id: int, *, now: datetime, cause: str) -> Refund:
    """Staff request such a refund again, after an earlier one was given up.

    Raises:
        NotFound: no such payment.
        OrderNotRefundable: the payment is no surplus, or nothing of it is left to give back.
    """
    with transaction.atomic(durable=True):
        payment = lock_payment(payment_id)
        refund = order_surplus_refund(payment, now=now, cause=cause) if payment.is_surplus else None
        if refund is None:
            raise OrderNotRefundable(status=payment.status)
    return refund


def fit_surplus_refund(payment: Payment, *, now: datetime, cause: str) -> None:
    """Replaces a refund that hasn't been sent yet by one of what is left, after part of the payment was
    refunded without us.
    """
    waiting = Refund.objects.filter(
        payment=payment, kind=RefundKind.SURPLUS, status=RefundStatus.REQUESTED
    ).first()
    if waiting is None or waiting.amount <= payment.amount - payment.external_refunded:
        return
    waiting.status, waiting.outcome, waiting.finished_at, waiting.available_at = (
        RefundStatus.REJECTED,
        "已由支付渠道侧退回",
        now,
        None,
    )
    waiting.save(update_fields=["status", "outcome", "finished_at", "available_at"])
    release_money(waiting)
    order_surplus_refund(payment, now=now, cause=cause)
