"""Refunds that buyers ask for."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from payments.domain.locks import lock_payment
from payments.domain.refunds.external import is_unexplained
from payments.domain.refunds.lines import attach_lines, commit_money, pick_lines, share_for
from payments.models import Payment, Refund
from payments.states import PaymentStatus, RefundKind
from shop.domain import refunding
from shop.domain.locks import lock_order
from shop.domain.shares import within
from shop.domain.timeline import event, record
from shop.errors import OrderNotFound, OrderNotRefundable
from shop.models import Order, OrderEvent, OrderLine
from shop.money import ZERO
from shop.states import OrderStatus

Kind = OrderEvent.Kind


def request_refund(
    *, account_id: int, order_number: str, course_ids: Collection[int] | None, reason: str, now: datetime, cause: str
) -> Refund:
    """Asks for the whole order, or for some of its courses, back.

    Within REFUND_AUTO_DAYS of the payment it is approved at once, while all of the access that it takes back is still running and
    nothing is unexplained about the payment.

    Raises:
        OrderNotFound: missing, or another account's.
        OrderNotRefundable: it isn't paid, or a course isn't one of its lines.
        RefundLineTaken: a course has gone back, is about to, or nothing is left.
    """
    order_id = Order.objects.filter(account_id=account_id, order_number=order_number).values_list("pk", flat=True).first()
    if order_id is None:
        raise OrderNotFound
    with transaction.atomic(durable=True):
        order = lock_order(order_id)
        if order.status != OrderStatus.PAID:
            raise OrderNotRefundable(status=order.status)
        lines = pick_lines(order, course_ids)
        payment = _paying(order)
        parts = within(refunding.refundable_parts(lines, now=now), _cash_left(payment))
        share = share_for(order, parts)
        is_automatic = _is_automatic(order, lines, payment, now=now)
        refund = Refund.objects.create(
            kind=RefundKind.ORDER,
            order=order,
            payment=payment if share.cash else None,
            out_request_no=f"{order.order_number}R{Refund.objects.filter(order=order).count() + 1}",
            amount=share.cash,
            beili=share.beili,
            reason=reason,
            requested_at=now,
            approved_at=now if is_automatic else None,
            available_at=now if is_automatic else None,
        )
        attach_lines(refund, parts)
        if payment is not None and share.cash:
            commit_money(payment, share.cash)
        record([event(order, Kind.REFUND_REQUESTED, now=now, cause=cause, alipay=str(share.cash), beili=share.beili)])
    return refund


def list_refunds(*, account_id: int, order_number: str) -> QuerySet[Refund]:
    """The refunds of the buyer's order, oldest first.

    Raises:
        OrderNotFound: missing, or another account's.
    """
    if not Order.objects.filter(account_id=account_id, order_number=order_number).exists():
        raise OrderNotFound
    return Refund.objects.filter(order__order_number=order_number).prefetch_related("lines__order_line").order_by("id")


def _paying(order: Order) -> Payment | None:
    """The payment that paid the order, locked; None when nothing was paid in money."""
    payment_id = Payment.objects.filter(order=order, status=PaymentStatus.PAID, is_surplus=False).values_list("pk", flat=True).first()
    return lock_payment(payment_id) if payment_id else None


def _cash_left(payment: Payment | None) -> Decimal:
    """What of the payment is neither gone nor promised to another refund. Gifts that the gateway made count: no more goes back than came."""
    return max(payment.amount - payment.external_refunded - payment.refund_committed, ZERO) if payment else ZERO


def _is_automatic(order: Order, lines: Sequence[OrderLine], payment: Payment | None, *, now: datetime) -> bool:
    within_days = timedelta(days=settings.REFUND_AUTO_DAYS)
    return (
        order.paid_at is not None
        and bool(within_days)
        and now < order.paid_at + within_days
        and refunding.is_access_left(lines, now=now)
        and not (payment and is_unexplained(payment))
    )
