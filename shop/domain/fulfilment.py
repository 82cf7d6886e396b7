"""An order is paid: coupons used, 贝里 captured, courses opened. The one routine for it, whoever brings the news and however it was paid."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import F, Max

from shop.domain import ledger, rows
from shop.domain.timeline import event, record
from shop.errors import StaleState
from shop.models import CouponRecord, Enrolment, Order, OrderEvent, OrderLine
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderStatus


def finalise_orders(orders: Sequence[Order], *, now: datetime, cause: str, came_from: OrderStatus = OrderStatus.AWAITING_PAYMENT) -> None:
    """Finalises orders in status `came_from`, all in the caller's transaction, with their coupons reserved and 贝里 held.

    The caller holds the locks of the orders' accounts (in id order) and of the orders.

    Raises:
        StaleState: an order is in another status, or a coupon is not reserved for it; the caller's transaction must roll back.
    """
    if not orders:
        return
    ids = [order.pk for order in orders]
    moved = Order.objects.filter(pk__in=ids, status=came_from).update(
        status=OrderStatus.PAID, paid_at=now, available_at=None, dead_at=None, version=F("version") + 1
    )
    if moved != len(ids):
        raise StaleState(f"of the orders {ids} only {moved} were {came_from}")
    _use_coupons(ids, now=now)
    ledger.move_balances(ledger.balance_changes(orders, available=0, held=-1))
    rows.insert(ledger.settlement_transfers(orders, now=now))
    enrolments = _grant(orders, now=now)
    record(_events(orders, enrolments, now=now, cause=cause))


def _use_coupons(order_ids: Sequence[int], *, now: datetime) -> None:
    records = CouponRecord.objects.filter(order__in=order_ids)
    used = records.filter(status=CouponRecordStatus.RESERVED).update(status=CouponRecordStatus.USED, used_at=now)
    if used != records.count():
        raise StaleState(f"a coupon of the orders {order_ids} was not reserved")


def _grant(orders: Sequence[Order], *, now: datetime) -> list[Enrolment]:
    """One enrolment a line; a course that the buyer still has is extended from its end."""
    account_of = {order.pk: order.account_id for order in orders}
    lines = list(OrderLine.objects.filter(order__in=account_of).order_by("id"))
    ends = _current_ends(set(account_of.values()), {line.course_id for line in lines}, now=now)
    enrolments = []
    for line in lines:
        holder = (account_of[line.order_id], line.course_id)
        starts = max(ends.get(holder, now), now)
        ends[holder] = starts + timedelta(days=line.valid_period)
        enrolments.append(
            Enrolment(
                account_id=holder[0],
                course_id=line.course_id,
                order_line=line,
                valid_from=starts,
                valid_until=ends[holder],
                created_at=now,
            )
        )
    rows.insert(enrolments)
    return enrolments


def _current_ends(account_ids: set[int], course_ids: set[int], *, now: datetime) -> dict[tuple[int, int], datetime]:
    rows = (
        Enrolment.objects.filter(account__in=account_ids, course__in=course_ids, status=EnrolmentStatus.ACTIVE, valid_until__gt=now)
        .values_list("account_id", "course_id")
        .annotate(end=Max("valid_until"))
    )
    return {(account_id, course_id): end for account_id, course_id, end in rows}


def _events(orders: Sequence[Order], enrolments: Sequence[Enrolment], *, now: datetime, cause: str) -> list[OrderEvent]:
    by_order: dict[int, list[Enrolment]] = {}
    for enrolment in enrolments:
        by_order.setdefault(enrolment.order_line.order_id, []).append(enrolment)
    events = []
    for order in orders:
        events.append(event(order, OrderEvent.Kind.PAID, now=now, cause=cause, alipay=str(order.cash_due), beili=order.beili))
        events += [
            event(
                order,
                OrderEvent.Kind.ENROLLED,
                now=now,
                cause=cause,
                course_id=enrolment.course_id,
                course_name=enrolment.order_line.course_name,
                valid_until=enrolment.valid_until.isoformat(timespec="seconds"),
            )
            for enrolment in by_order[order.pk]
        ]
    return events
