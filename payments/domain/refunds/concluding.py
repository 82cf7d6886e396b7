"""What follows once refunds that were made without us are booked or refused: whose money it was, what is
still unexplained, and whether the order ends. `external.py` notes and books them.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db.models import Q, QuerySet

from payments.domain.refunds.lines import attach_lines, release_lines, release_money, share_for
from payments.domain.refunds.surplus import fit_surplus_refund
from payments.models import Payment, Refund, RefundLine
from payments.states import REFUNDS_UNDER_WAY, Explanation, PaymentStatus, RefundKind, RefundStatus
from shop.domain import ledger, sql
from shop.domain.orders import order_refunds
from shop.domain.orders.timeline import event, record
from shop.domain.pricing.refund_shares import whole_part, within
from shop.errors import StaleState
from shop.models import LedgerTransfer, Order, OrderEvent, OrderLine
from shop.money import ZERO
from shop.states import OrderStatus

log = structlog.get_logger(__name__)

Book = LedgerTransfer.Book
Kind = OrderEvent.Kind
# How a payment says that the gateway has told of more refunds than our rows account for.
DIFFERENCE = "refunds differ"


def is_unexplained(payment: Payment) -> bool:
    """Whether anything about the payment's refunds waits to be proven or explained.

    Until then no refund of ours may leave.
    """
    return _to_explain(payment).exists() or has_difference(payment)


def has_difference(payment: Payment) -> bool:
    """Whether the gateway has told of more refunds than our rows account for, and nothing is under way that
    could be the rest.
    """
    told, gone = Payment.objects.values_list("refund_told", "refunded_amount").get(pk=payment.pk)
    return told > gone and not find_pending(payment).exists()


def find_pending(payment: Payment) -> QuerySet[Refund]:
    """The payment's refunds whose outcome at the gateway is still to be learnt, ours and others'."""
    return Refund.objects.filter(payment=payment).filter(
        Q(status__in=REFUNDS_UNDER_WAY) | Q(status=RefundStatus.REPORTED)
    )


def conclude(payment: Payment, *, now: datetime, cause: str) -> None:
    """Draws the consequences once a refund is booked or refused, in the caller's transaction, which holds the
    payment's lock.

    Money that nobody owed needs no explanation. When nothing is left of a payment, its order ends. If our
    rows account for less than the gateway has reported, the trade is queried again if all of it may be gone,
    otherwise it is left to people.
    """
    payment.refresh_from_db(
        fields=["amount", "refund_told", "refunded_amount", "external_refunded", "is_surplus", "status"]
    )
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
        log.error(
            "refunds_differ", out_trade_no=payment.out_trade_no, told=str(payment.refund_told), alert=True
        )


def _explain_surplus(payment: Payment, unexplained: Sequence[Refund], *, now: datetime) -> None:
    for refund in unexplained:
        key = f"external:{refund.pk}"
        sql.insert(
            [
                ledger.surplus_out(
                    payment.order, refund.amount, cash_book=Book.EXTERNAL_REFUNDS, key=key, now=now
                )
            ]
        )
        mark_explained(refund, Explanation.SURPLUS, now=now)


def _end_order(payment: Payment, unexplained: Sequence[Refund], *, now: datetime, cause: str) -> None:
    """Nothing is left of the payment: the rest of its order counts as refunded, and refunds that wait for
    approval are moot.
    """
    order = payment.order
    if Order.objects.values_list("status", flat=True).get(pk=order.pk) != OrderStatus.PAID:
        return  # its courses went back another way, so this money was a gift; staff say so
    _reject_waiting(payment, now=now)
    done = RefundLine.objects.filter(order_line__order=order, is_live=True).values("order_line_id")
    lines = list(OrderLine.objects.filter(order=order).exclude(pk__in=done).order_by("id"))
    return_lines(payment, unexplained, lines, Explanation.WHOLE, now=now, cause=cause)


def _reject_waiting(payment: Payment, *, now: datetime) -> None:
    """Ends the order's refunds that are asked for or have failed: their money has gone back."""
    waiting = Refund.objects.filter(
        order_id=payment.order_id,
        kind=RefundKind.ORDER,
        status__in=[RefundStatus.REQUESTED, RefundStatus.FAILED],
    )
    for refund in waiting:
        reject(refund, "支付渠道侧已整单退款", now=now)
        release_lines(refund)
        release_money(refund)


def return_lines(
    payment: Payment,
    externals: Sequence[Refund],
    lines: Sequence[OrderLine],
    explanation: Explanation,
    *,
    now: datetime,
    cause: str,
    **details: str,
) -> None:
    """Books external refunds as the return of these lines: the courses and their 贝里 go back.

    What is above the lines' cash is a gift.

    `details` are more details for the timeline.
    """
    total, last = sum((refund.amount for refund in externals), ZERO), externals[-1]
    parts = within([whole_part(line) for line in lines], total)
    share = share_for(payment.order, parts)
    attach_lines(last, parts)
    Refund.objects.filter(pk=last.pk).update(beili=share.beili)
    key = f"external:{last.pk}"
    order_refunds.apply_refund(
        payment.order, parts, share, key=key, now=now, cause=cause, cash_book=Book.EXTERNAL_REFUNDS
    )
    if gift := total - share.cash:
        sql.insert([ledger.goodwill_out(payment.order, gift, key=key, now=now)])
    for refund in externals:
        mark_explained(refund, explanation, now=now)
    details = {"explanation": explanation.value, "alipay": str(total), **details}
    record([event(payment.order, Kind.EXTERNAL_REFUND_EXPLAINED, now=now, cause=cause, **details)])


def mark_explained(refund: Refund, explanation: Explanation, *, now: datetime) -> None:
    """Notes what a booked external refund was for, once.

    Raises:
        StaleState: it isn't booked, or is explained already.
    """
    proven = Refund.objects.filter(
        pk=refund.pk, kind=RefundKind.EXTERNAL, status=RefundStatus.SUCCEEDED, explanation=""
    )
    if proven.update(explanation=explanation, explained_at=now) != 1:
        raise StaleState(f"external refund {refund.out_request_no} is not waiting for an explanation")


def reject(refund: Refund, why: str, *, now: datetime) -> None:
    """Ends a refund of which nothing comes, in the caller's transaction; `why` is for people."""
    refund.status, refund.outcome, refund.finished_at, refund.available_at, refund.dead_at = (
        RefundStatus.REJECTED,
        why,
        now,
        None,
        None,
    )
    refund.save(update_fields=["status", "outcome", "finished_at", "available_at", "dead_at"])


def wake_held_back(payment: Payment, *, now: datetime) -> None:
    """Makes approved refunds due that were held back while something was unexplained."""
    held = Refund.objects.filter(
        payment=payment, status=RefundStatus.REQUESTED, approved_at__isnull=False, available_at__gt=now
    )
    held.update(available_at=now)


def _to_explain(payment: Payment) -> QuerySet[Refund]:
    return Refund.objects.filter(payment=payment, kind=RefundKind.EXTERNAL, explanation="").exclude(
        status=RefundStatus.REJECTED
    )
