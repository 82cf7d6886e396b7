"""Refunds that buyers ask for, or staff for them."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from payments.domain.locks import lock_payment
from payments.domain.refunds.concluding import is_unexplained
from payments.domain.refunds.lines import attach_lines, commit_money, find_cash_left, pick_lines, share_for
from payments.errors import OrderNotRefundable
from payments.models import Payment, Refund
from payments.states import PaymentStatus, RefundKind, RefundStatus
from shop.domain.locks import lock_order
from shop.domain.orders import order_refunds
from shop.domain.orders.finding import get_order
from shop.domain.orders.timeline import by_staff, event, record
from shop.domain.pricing.refund_shares import LinePart, Share, within
from shop.models import Account, Order, OrderEvent, OrderLine
from shop.money import ZERO
from shop.states import OrderStatus

Kind = OrderEvent.Kind


def request_refund(
    *,
    account_id: int,
    order_number: str,
    course_ids: Collection[int] | None,
    reason: str,
    now: datetime,
    cause: str,
    staff: Account | None = None,
) -> Refund:
    """Requests a refund of the whole order or of some of its courses, for the buyer or by `staff` on their
    behalf, which always needs approval.

    Within REFUND_AUTO_DAYS of the payment it is approved at once, if all of the access that it takes back is
    still running and nothing about the payment is unexplained.

    Raises:
        OrderNotFound, OrderPending, OrderRejected: as `orders.get_order`.
        OrderNotRefundable: it isn't paid, or a course isn't one of its lines.
        RefundLineTaken: a course has gone back, is about to, or nothing is left.
    """
    order_id = get_order(account_id=account_id, order_number=order_number).pk
    with transaction.atomic(durable=True):
        order = lock_order(order_id)
        payment = _find_paying(order)
        if payment is not None:
            payment = lock_payment(payment.pk)
        lines, parts = _price(order, payment, course_ids, now=now)
        share = share_for(order, parts)
        is_automatic = staff is None and _is_automatic(order, lines, payment, now=now)
        refund = Refund.objects.create(
            kind=RefundKind.ORDER,
            order=order,
            payment=payment if share.cash else None,
            out_request_no=f"{order.order_number}R{Refund.objects.filter(order=order).count() + 1}",
            amount=share.cash,
            beili=share.beili,
            reason=reason,
            requested_by=staff,
            requested_at=now,
            approved_at=now if is_automatic else None,
            available_at=now if is_automatic else None,
        )
        attach_lines(refund, parts)
        if payment is not None and share.cash:
            commit_money(payment, share.cash)
        details = {"alipay": str(share.cash), "beili": share.beili, **by_staff(staff, reason)}
        record([event(order, Kind.REFUND_REQUESTED, now=now, cause=cause, **details)])
    return refund


def quote_refund(
    *, account_id: int, order_number: str, course_ids: Collection[int] | None, now: datetime
) -> tuple[list[OrderLine], Share]:
    """The lines that `request_refund` would take back now, and what would go back for them.

    Nothing is written.

    Raises:
        As `request_refund`.
    """
    order = get_order(account_id=account_id, order_number=order_number)
    lines, parts = _price(order, _find_paying(order), course_ids, now=now)
    return lines, share_for(order, parts)


def list_refunds(*, account_id: int, order_number: str) -> QuerySet[Refund]:
    """The refunds of the buyer's order, oldest first. What was made without us is told once it is proven.

    Raises:
        OrderNotFound, OrderPending, OrderRejected: as `orders.get_order`.
    """
    get_order(account_id=account_id, order_number=order_number)
    unproven = Q(kind=RefundKind.EXTERNAL) & ~Q(status=RefundStatus.SUCCEEDED)
    refunds = Refund.objects.filter(order__order_number=order_number).exclude(unproven)
    return refunds.prefetch_related("lines__order_line").order_by("id")


def _price(
    order: Order, payment: Payment | None, course_ids: Collection[int] | None, *, now: datetime
) -> tuple[list[OrderLine], list[LinePart]]:
    """The lines that are meant, and what may go back of each: no more than is left of the payment."""
    if order.status != OrderStatus.PAID:
        raise OrderNotRefundable(status=order.status)
    lines = pick_lines(order, course_ids)
    return lines, within(
        order_refunds.refundable_parts(lines, now=now), find_cash_left(payment) if payment else ZERO
    )


def _find_paying(order: Order) -> Payment | None:
    """The payment that paid the order; None when nothing was paid in money."""
    return Payment.objects.filter(order=order, status=PaymentStatus.PAID, is_surplus=False).first()


def _is_automatic(
    order: Order, lines: Sequence[OrderLine], payment: Payment | None, *, now: datetime
) -> bool:
    within_days = timedelta(days=settings.REFUND_AUTO_DAYS)
    return (
        order.paid_at is not None
        and bool(within_days)
        and now < order.paid_at + within_days
        and order_refunds.is_access_left(lines, now=now)
        and not (payment and is_unexplained(payment))
    )
