"""What a refund means for the order: how much of which kind goes back, and what the buyer has to give back for it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db.models import F

from shop.domain import ledger, rows
from shop.domain.enrolments import revoke_enrolments
from shop.domain.timeline import event, record
from shop.errors import StaleState
from shop.models import CouponRecord, Enrolment, Order, OrderEvent, OrderLine
from shop.money import ZERO
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderStatus


@dataclass(frozen=True, slots=True)
class Share:
    """What goes back for some lines: yuan through the gateway, and 贝里."""

    cash: Decimal
    beili: int


def share_of(order: Order, lines: Collection[OrderLine], *, earlier: Collection[OrderLine], line_count: int, beili_gone: int) -> Share:
    """What goes back for `lines`, when `earlier` ones have gone back or are about to, with `beili_gone` 贝里.

    Cash is each line's own. A line's share of the 贝里 is in fen; whole 贝里 go back as soon as the lines' shares add up to them, and the
    last line brings the rest, so that whatever the order of refunds, all of them together are what was paid. What has gone is counted,
    not computed again: a refund that was rejected since may have left a whole 贝里 with another line.
    """
    cash = sum((line.cash_amount for line in lines), ZERO)
    due = _whole_beili(order, [*earlier, *lines], line_count=line_count)
    return Share(cash, max(due - beili_gone, 0))


def _whole_beili(order: Order, lines: Collection[OrderLine], *, line_count: int) -> int:
    if len(lines) == line_count:
        return order.beili
    return int(sum((line.beili_amount for line in lines), ZERO) * order.beili_per_yuan)


def apply_refund(order: Order, lines: Sequence[OrderLine], share: Share, *, key: str, now: datetime, cause: str) -> None:
    """Books a refund that has happened, in the caller's transaction, which holds the locks of the account and of the order.

    The lines' enrolments are revoked, and later periods of their courses move up; when nothing is left of the order it is refunded, and its coupons come back if the shop says so.

    Raises:
        StaleState: the order isn't paid, or more would go back than came.
    """
    moved = Order.objects.filter(
        pk=order.pk,
        status=OrderStatus.PAID,
        refunded_amount__lte=F("cash_due") - share.cash,
        refunded_beili__lte=F("beili") - share.beili,
    ).update(refunded_amount=F("refunded_amount") + share.cash, refunded_beili=F("refunded_beili") + share.beili)
    if moved != 1:
        raise StaleState(f"order {order.order_number} can't be refunded by {share}")
    rows.insert(ledger.refund_transfers(order, lines, share.cash, share.beili, key=key, now=now))
    events = _revoke(order, lines, now=now, cause=cause)
    record([event(order, OrderEvent.Kind.REFUND_SUCCEEDED, now=now, cause=cause, alipay=str(share.cash), beili=share.beili), *events])
    _finish(order, now=now)


def _revoke(order: Order, lines: Sequence[OrderLine], *, now: datetime, cause: str) -> list[OrderEvent]:
    """Answers the events: those of this order, and those of the buyer's other orders whose periods move up."""
    revoked = revoke_enrolments(lines, now=now)
    lost = [event(order, OrderEvent.Kind.ENROLMENT_REVOKED, now=now, cause=cause, course_id=pk) for pk in revoked.course_ids]
    return lost + [
        event(
            enrolment.order_line.order,
            OrderEvent.Kind.ENROLMENT_MOVED,
            now=now,
            cause=cause,
            course_id=enrolment.course_id,
            course_name=enrolment.order_line.course_name,
            valid_from=enrolment.valid_from.isoformat(timespec="seconds"),
            valid_until=enrolment.valid_until.isoformat(timespec="seconds"),
        )
        for enrolment in revoked.moved
    ]


def _finish(order: Order, *, now: datetime) -> None:
    """A paid order without an active enrolment left has gone back whole."""
    if Enrolment.objects.filter(order_line__order=order, status=EnrolmentStatus.ACTIVE).exists():
        return
    Order.objects.filter(pk=order.pk, status=OrderStatus.PAID).update(status=OrderStatus.REFUNDED, refunded_at=now)
    if settings.REFUND_RETURNS_COUPONS:
        CouponRecord.objects.filter(order=order, status=CouponRecordStatus.USED).update(
            status=CouponRecordStatus.UNUSED, order=None, used_at=None
        )
