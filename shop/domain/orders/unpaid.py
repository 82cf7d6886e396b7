"""Courses that are already in an unpaid order of the buyer: bought again by mistake, they would be paid
twice.

An order whose buyer asked to cancel it doesn't count, since it can't be paid any more. These are parts of
other modules' statements.
"""

from shop.domain import sql
from shop.states import OrderStatus

# The newest such order with a course, and the days that all of them would add; one row, of NULLs if there is
# none.
UNPAID = sql.statement(
    """
    SELECT max(orders.order_number) AS order_number, sum(line.valid_period) AS days
    FROM shop_order AS orders JOIN shop_orderline AS line ON line.order_id = orders.id
    WHERE orders.account_id = {account} AND line.course_id = {course}
        AND orders.status = {OrderStatus.AWAITING_PAYMENT} AND orders.cancel_requested_at IS NULL
""",
    OrderStatus,
)
# The newest such order for each course that the buyer has in any, as JSON by course id; NULL if there is
# none.
ALL_UNPAID = sql.statement(
    """
    SELECT json_object_agg(waiting.course_id, waiting.order_number)::text FROM (
        SELECT line.course_id, max(orders.order_number) AS order_number
        FROM shop_order AS orders JOIN shop_orderline AS line ON line.order_id = orders.id
        WHERE orders.account_id = {account} AND orders.status = {OrderStatus.AWAITING_PAYMENT}
            AND orders.cancel_requested_at IS NULL
        GROUP BY line.course_id
    ) AS waiting
""",
    OrderStatus,
)
