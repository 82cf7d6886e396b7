"""An order is paid: coupons are used, 贝里 captured, courses opened.

The only routine that does this, whatever reports the payment and however it was made.

Bare SQL, one statement for each table: everything follows from rows that PostgreSQL already has, so none of
them has to become an object here.
"""

from collections.abc import Sequence
from datetime import datetime

from shop.domain import ledger, sql
from shop.domain.polling.answer_cache import mark_changed
from shop.errors import StaleState
from shop.models import Order, OrderEvent
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderStatus

_PAY = sql.statement(
    """
    UPDATE shop_order
        SET status = {OrderStatus.PAID}, paid_at = %s, available_at = NULL, dead_at = NULL, version = version
        + 1
    WHERE id = ANY(%s) AND status = %s
""",
    OrderStatus,
)
_USE_COUPONS = sql.statement(
    """
    WITH used AS (UPDATE shop_couponrecord SET status = {CouponRecordStatus.USED}, used_at = %s
        WHERE order_id = ANY(%s) AND status = {CouponRecordStatus.RESERVED} RETURNING id)
    SELECT (SELECT count(*) FROM used), (SELECT count(*) FROM shop_couponrecord WHERE order_id = ANY(%s))
""",
    CouponRecordStatus,
)
# One enrolment a line, and the timeline's word on each. A course that the buyer has already, or gets by
# another line of the batch, is extended from its end; a day is 24 hours, whatever the session's time zone.
# Orders are taken in their order, lines by id. A degree that hasn't started begins on its first day in
# Shanghai; `first_start` is that of the earliest line, from which the others follow on.
_GRANT = sql.statement(
    """
    WITH listed AS (
        SELECT orders.id, orders.account_id, orders.cash_due, orders.beili, given.place
        FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS given(id, place)
        JOIN shop_order AS orders ON orders.id = given.id
    ), bought AS (
        SELECT listed.place, listed.account_id, line.id, line.course_id,
            line.valid_period * interval '24 hours' AS period,
            sum(line.valid_period * interval '24 hours') OVER (
                PARTITION BY listed.account_id, line.course_id ORDER BY listed.place, line.id
            ) AS period_so_far,
            first_value(line.starts_on::timestamp AT TIME ZONE 'Asia/Shanghai') OVER (
                PARTITION BY listed.account_id, line.course_id ORDER BY listed.place, line.id
            ) AS first_start
        FROM listed JOIN shop_orderline AS line ON line.order_id = listed.id
    ), granted AS (
        INSERT INTO shop_enrolment (account_id, course_id, order_line_id, status, valid_from, valid_until,
            created_at)
        SELECT bought.account_id, bought.course_id, bought.id, {EnrolmentStatus.ACTIVE},
            coalesce(held.ends, greatest(first_start, %(now)s)) + period_so_far - period,
            coalesce(held.ends, greatest(first_start, %(now)s)) + period_so_far, %(now)s
        FROM bought CROSS JOIN LATERAL (
            SELECT max(valid_until) AS ends FROM shop_enrolment AS enrolment
            WHERE enrolment.account_id = bought.account_id AND enrolment.course_id = bought.course_id
                AND enrolment.status = {EnrolmentStatus.ACTIVE} AND enrolment.valid_until > %(now)s
        ) AS held
        ORDER BY bought.place, bought.id
        RETURNING order_line_id, course_id, valid_until
    )
    INSERT INTO shop_orderevent (order_id, kind, at, cause, details)
    SELECT happened.order_id, happened.kind, %(now)s, %(cause)s, happened.details FROM (
        SELECT place, 0 AS line_id, id AS order_id, {Kind.PAID} AS kind,
            jsonb_build_object('alipay', cash_due::text, 'beili', beili) AS details
        FROM listed
        UNION ALL
        SELECT listed.place, line.id, line.order_id, {Kind.ENROLLED}, jsonb_build_object(
            'course_id', granted.course_id, 'course_name', line.course_name,
            'valid_until', to_char(granted.valid_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')
        )
        FROM granted JOIN shop_orderline AS line ON line.id = granted.order_line_id
        JOIN listed ON listed.id = line.order_id
    ) AS happened
    ORDER BY happened.place, happened.line_id
""",
    EnrolmentStatus,
    OrderEvent.Kind,
)


def finalise_orders(
    orders: Sequence[Order],
    *,
    now: datetime,
    cause: str,
    came_from: OrderStatus = OrderStatus.AWAITING_PAYMENT,
) -> None:
    """Finalises orders in status `came_from`, all in the caller's transaction, with their coupons reserved
    and 贝里 held.

    The result is that of finalising them one by one, in their order. The caller holds the locks of the
    orders' accounts (in id order) and of the orders.

    Raises:
        StaleState: an order is in another status, or a coupon is not reserved for it; the caller's
            transaction must roll back.
    """
    if not orders:
        return
    ids = [order.pk for order in orders]
    moved = sql.write(_PAY, [now, ids, came_from.value])
    if moved != len(ids):
        raise StaleState(f"of the orders {ids} only {moved} were {came_from}")
    _use_coupons(ids, now=now)
    ledger.settle_orders(ids, now=now)
    sql.write(_GRANT, {"ids": ids, "now": now, "cause": cause})
    mark_changed({order.order_number for order in orders})


def _use_coupons(order_ids: list[int], *, now: datetime) -> None:
    ((used, reserved),) = sql.read(_USE_COUPONS, [now, order_ids, order_ids])
    if used != reserved:
        raise StaleState(f"a coupon of the orders {order_ids} was not reserved")
