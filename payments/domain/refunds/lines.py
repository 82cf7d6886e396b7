"""What a refund of ours reserves: lines of its order, and money of its payment that others can't use."""

from collections.abc import Collection, Sequence
from decimal import Decimal

from django.db.models import F, Sum

from payments.errors import OrderNotRefundable, RefundLineTaken
from payments.models import Payment, Refund, RefundLine
from payments.states import Explanation, RefundStatus
from shop.domain import sql
from shop.domain.pricing.refund_shares import LinePart, Share, share_of
from shop.models import Order, OrderLine
from shop.money import ZERO


def pick_lines(order: Order, course_ids: Collection[int] | None) -> list[OrderLine]:
    """The order's lines for these courses; without a choice, all lines that no live refund has.

    Raises:
        OrderNotRefundable: a course isn't one of its lines.
        RefundLineTaken: a course has gone back, is about to, or nothing is left.
    """
    lines = list(OrderLine.objects.filter(order=order).order_by("id"))
    taken = set(
        RefundLine.objects.filter(order_line__in=lines, is_live=True).values_list("order_line_id", flat=True)
    )
    if course_ids is None:
        chosen = [line for line in lines if line.pk not in taken]
    else:
        chosen = [line for line in lines if line.course_id in course_ids]
        if len(chosen) != len(course_ids):
            raise OrderNotRefundable(reason="course_not_in_order")
    if not chosen or any(line.pk in taken for line in chosen):
        raise RefundLineTaken
    return chosen


def share_for(order: Order, parts: Sequence[LinePart]) -> Share:
    """Yuan and whole 贝里 for these parts, given what the order's other live refunds return."""
    live = RefundLine.objects.filter(order_line__order=order, is_live=True)
    earlier = live.aggregate(total=Sum("beili_amount"))["total"] or ZERO
    gone = (
        Refund.objects.filter(order=order)
        .exclude(status=RefundStatus.REJECTED)
        .aggregate(total=Sum("beili"))["total"]
        or 0
    )
    return share_of(order, parts, earlier_beili_amount=earlier, beili_gone=int(gone))


def attach_lines(refund: Refund, parts: Sequence[LinePart]) -> None:
    """Stores which part of which line the refund returns. A line can be on one live refund only; the database
    refuses a second.
    """
    sql.insert(
        [
            RefundLine(
                refund=refund, order_line=part.line, cash_amount=part.cash, beili_amount=part.beili_amount
            )
            for part in parts
        ]
    )


def parts_of(refund: Refund) -> list[LinePart]:
    """The stored parts of the refund's lines."""
    lines = RefundLine.objects.filter(refund=refund).select_related("order_line").order_by("order_line_id")
    return [LinePart(line.order_line, line.cash_amount, line.beili_amount) for line in lines]


def release_lines(refund: Refund) -> None:
    """Makes the refund's lines available to other refunds."""
    RefundLine.objects.filter(refund=refund).update(is_live=False)


def find_cash_left(payment: Payment) -> Decimal:
    """What is left of the payment: neither returned, by whatever means, nor committed to another refund.
    Goodwill counts as returned, since no more goes back than came in.
    """
    amount, external, committed = Payment.objects.values_list(
        "amount", "external_refunded", "refund_committed"
    ).get(pk=payment.pk)
    refunds = Refund.objects.filter(payment=payment)
    elsewhere = (
        refunds.filter(status=RefundStatus.PAID_ELSEWHERE).aggregate(total=Sum("amount"))["total"] or ZERO
    )
    # What an external refund paid is counted with that.
    paid_by_external = (
        refunds.filter(explanation=Explanation.REQUEST).aggregate(total=Sum("amount"))["total"] or ZERO
    )
    return max(amount - external - committed - elsewhere + paid_by_external, ZERO)


def commit_money(payment: Payment, amount: Decimal) -> None:
    """Sets the amount aside on the payment, whose lock the caller holds. A CHECK refuses more than was
    paid.
    """
    Payment.objects.filter(pk=payment.pk).update(refund_committed=F("refund_committed") + amount)


def release_money(refund: Refund) -> None:
    """Makes what this refund had set aside available to other refunds."""
    if refund.payment_id is not None:
        Payment.objects.filter(pk=refund.payment_id).update(
            refund_committed=F("refund_committed") - refund.amount
        )
