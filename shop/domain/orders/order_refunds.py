"""What a refund means for the order: what may be returned, and what the buyer loses in exchange."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F

from shop.domain import ledger, sql
from shop.domain.enrolments import revoke_enrolments
from shop.domain.orders.timeline import event, record
from shop.domain.pricing.refund_shares import LinePart, Share, unused_part, whole_part
from shop.errors import StaleState
from shop.models import CouponRecord, Enrolment, LedgerTransfer, Order, OrderEvent, OrderLine
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderStatus


def refundable_parts(lines: Sequence[OrderLine], *, now: datetime) -> list[LinePart]:
    """What may be returned for lines of a paid order: everything, or with REFUND_PRO_RATA what was paid for
    the remaining days.
    """
    if not settings.REFUND_PRO_RATA:
        return [whole_part(line) for line in lines]
    return [unused_part(line, days_left=_days_left(line, now=now)) for line in lines]


def is_access_left(lines: Collection[OrderLine], *, now: datetime) -> bool:
    """Whether every line's access is still running or to come."""
    running = Enrolment.objects.filter(
        order_line__in=lines, status=EnrolmentStatus.ACTIVE, valid_until__gt=now
    )
    return running.count() == len(lines)


def _days_left(line: OrderLine, *, now: datetime) -> int:
    """Whole days that the buyer hasn't begun to use."""
    enrolment = Enrolment.objects.filter(order_line=line, status=EnrolmentStatus.ACTIVE).first()
    if enrolment is None:
        return 0
    left = enrolment.valid_until - max(now, enrolment.valid_from)
    return min(max(left // timedelta(days=1), 0), line.valid_period)


def apply_refund(  # noqa: PLR0913 - each is a fact of its own
    order: Order,
    parts: Sequence[LinePart],
    share: Share,
    *,
    key: str,
    now: datetime,
    cause: str,
    cash_book: LedgerTransfer.Book = LedgerTransfer.Book.REFUNDS,
    tells_refund: bool = True,
) -> None:
    """Books a refund that has happened, in the caller's transaction, which holds the locks of the account and
    of the order.

    The lines' enrolments are revoked, and later periods of their courses move up. When nothing is left of the
    order it is refunded, and its coupons come back if the shop says so. `cash_book` says which way the cash
    went (see `ledger.refund_transfers`). Without `tells_refund` the timeline says nothing of a refund:
    courses were taken back and no money was given.

    Raises:
        StaleState: the order isn't paid, or more would go back than came.
    """
    moved = Order.objects.filter(
        pk=order.pk,
        status=OrderStatus.PAID,
        refunded_amount__lte=F("cash_due") - share.cash,
        refunded_beili__lte=F("beili") - share.beili,
    ).update(
        refunded_amount=F("refunded_amount") + share.cash, refunded_beili=F("refunded_beili") + share.beili
    )
    if moved != 1:
        raise StaleState(f"order {order.order_number} can't be refunded by {share}")
    sql.insert(ledger.refund_transfers(order, parts, share.beili, cash_book=cash_book, key=key, now=now))
    events = _revoke(order, [part.line for part in parts], now=now, cause=cause)
    if tells_refund:
        events = [
            event(
                order,
                OrderEvent.Kind.REFUND_SUCCEEDED,
                now=now,
                cause=cause,
                alipay=str(share.cash),
                beili=share.beili,
            ),
            *events,
        ]
    record(events)
    _finish(order, now=now)


def _revoke(order: Order, lines: Sequence[OrderLine], *, now: datetime, cause: str) -> list[OrderEvent]:
    """Returns the events of this order, and of the buyer's other orders whose periods move up."""
    revoked = revoke_enrolments(lines, now=now)
    lost = [
        event(order, OrderEvent.Kind.ENROLMENT_REVOKED, now=now, cause=cause, course_id=pk)
        for pk in revoked.course_ids
    ]
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
    """A paid order without an active enrolment has been refunded in full."""
    if Enrolment.objects.filter(order_line__order=order, status=EnrolmentStatus.ACTIVE).exists():
        return
    Order.objects.filter(pk=order.pk, status=OrderStatus.PAID).update(
        status=OrderStatus.REFUNDED, refunded_at=now
    )
    if settings.REFUND_RETURNS_COUPONS:
        CouponRecord.objects.filter(order=order, status=CouponRecordStatus.USED).update(
            status=CouponRecordStatus.UNUSED, order=None, used_at=None
        )
