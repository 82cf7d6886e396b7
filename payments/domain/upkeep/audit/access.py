"""Access to courses: what paid orders granted, and for how long."""

from payments.domain.upkeep.audit.rule import Rule

RULES = (
    Rule(
        "paid_orders_delivered_once",
        "Every line of an order that was ever paid has one enrolment; no other line has any.",
        """
        SELECT orders.order_number, orders.status, line.id AS line, count(enrolment.id) AS enrolments
        FROM shop_orderline AS line
        JOIN shop_order AS orders ON orders.id = line.order_id
        LEFT JOIN shop_enrolment AS enrolment ON enrolment.order_line_id = line.id
            AND enrolment.account_id = orders.account_id AND enrolment.course_id = line.course_id
        GROUP BY orders.id, line.id HAVING count(enrolment.id) <> CASE WHEN orders.paid_at IS NOT NULL THEN 1
            ELSE 0 END
        """,
    ),
    Rule(
        "access_is_what_was_bought",
        "An enrolment lasts as long as its line was bought for, and ends within a hundred years.",
        """
        SELECT enrolment.id, enrolment.valid_from, enrolment.valid_until::text, line.valid_period
        FROM shop_enrolment AS enrolment
        JOIN shop_orderline AS line ON line.id = enrolment.order_line_id
        WHERE enrolment.valid_until - enrolment.valid_from <> line.valid_period * interval '24 hours'
            OR enrolment.valid_until > enrolment.created_at + interval '36500 days'
        """,
    ),
    Rule(
        "access_has_no_gaps",
        "A buyer's active periods of a course follow each other; one begins later only if it was granted, or "
        "moved up, when none was left, "
        "or on the first day of its degree.",
        """
        SELECT chain.account_id, chain.course_id, chain.ends_before, chain.valid_from FROM (
            SELECT enrolment.account_id, enrolment.course_id, created_at, valid_from,
                line.starts_on::timestamp AT TIME ZONE 'Asia/Shanghai' AS first_day,
                max(valid_until) OVER (
                    PARTITION BY enrolment.account_id, enrolment.course_id ORDER BY valid_from, enrolment.id
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS ends_before
            FROM shop_enrolment AS enrolment JOIN shop_orderline AS line ON line.id = enrolment.order_line_id
            WHERE enrolment.status = {EnrolmentStatus.ACTIVE}
        ) AS chain
        WHERE chain.valid_from < chain.ends_before OR (
            chain.valid_from > coalesce(chain.ends_before, chain.created_at)
            AND chain.valid_from <> chain.created_at
            AND chain.valid_from IS DISTINCT FROM chain.first_day AND NOT EXISTS (
                SELECT FROM shop_enrolment AS revoked WHERE revoked.account_id = chain.account_id
                    AND revoked.course_id = chain.course_id
                    AND revoked.revoked_at = chain.valid_from
            )
        )
        """,
    ),
)
