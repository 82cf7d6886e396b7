"""Refunds against payments, orders and what the gateway reports."""

from payments.domain.upkeep.audit.rule import Rule

RULES = (
    Rule(
        "refunds_fit_payments",
        "What is committed to our refunds, and what has gone back by ours and by others', is what the "
        "refunds say, on each payment.",
        """
        SELECT payment.out_trade_no, payment.refund_committed, payment.refunded_amount,
            payment.external_refunded,
            refund.committed, refund.done, refund.external
        FROM payments_payment AS payment
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(amount) FILTER (WHERE kind <> {RefundKind.EXTERNAL}
                AND status NOT IN ({RefundStatus.REJECTED}, {RefundStatus.PAID_ELSEWHERE})), 0) AS committed,
                   coalesce(sum(amount) FILTER (WHERE status = {RefundStatus.SUCCEEDED}), 0) AS done,
                   coalesce(sum(amount) FILTER (WHERE kind = {RefundKind.EXTERNAL}
                       AND status = {RefundStatus.SUCCEEDED}), 0) AS external
            FROM payments_refund WHERE payment_id = payment.id
        ) AS refund ON true
        WHERE payment.refund_committed <> refund.committed OR payment.refunded_amount <> refund.done
            OR payment.external_refunded <> refund.external
        """,
    ),
    Rule(
        "refunds_fit_orders",
        "An order's refunded money and 贝里 are those of its refunds; refunded lines have lost their "
        "enrolment, and only they.",
        """
        SELECT orders.order_number, orders.status, orders.refunded_amount, orders.refunded_beili, line.cash,
            refund.beili FROM shop_order AS orders
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(beili), 0) AS beili FROM payments_refund
            WHERE order_id = orders.id AND kind <> {RefundKind.SURPLUS}
                AND status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE})
        ) AS refund ON true
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(refund_line.cash_amount), 0) AS cash, count(refund_line.id) AS refunded,
                count(*) AS lines
            FROM shop_orderline AS line LEFT JOIN (
                payments_refundline AS refund_line JOIN payments_refund AS done
                    ON done.id = refund_line.refund_id
                    AND done.status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE})
            ) ON refund_line.order_line_id = line.id
            WHERE line.order_id = orders.id
        ) AS line ON true
        WHERE orders.refunded_amount <> line.cash OR orders.refunded_beili <> refund.beili
           OR (orders.paid_at IS NOT NULL
               AND (orders.status = {OrderStatus.REFUNDED}) <> (line.refunded = line.lines))
           OR EXISTS (
               SELECT 1 FROM shop_orderline AS line
               JOIN shop_enrolment AS enrolment ON enrolment.order_line_id = line.id
               WHERE line.order_id = orders.id AND (enrolment.status = {EnrolmentStatus.REVOKED}) <> EXISTS (
                   SELECT 1 FROM payments_refundline AS refund_line
                   JOIN payments_refund AS done ON done.id = refund_line.refund_id
                   WHERE refund_line.order_line_id = line.id
                       AND done.status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE})
               )
           )
        """,
    ),
    Rule(
        "refunds_equal_the_gateways",
        "No more has gone back than our rows say, by the last total that the gateway told; or that is being "
        "asked about, or people look at it.",
        """
        SELECT payment.out_trade_no, payment.refund_told, payment.refunded_amount
        FROM payments_payment AS payment
        WHERE payment.refund_told > payment.refunded_amount AND payment.available_at IS NULL
            AND payment.dead_at IS NULL
            AND NOT EXISTS (
                SELECT FROM payments_refund WHERE payment_id = payment.id
                    AND status IN ({RefundStatus.REPORTED}, {RefundStatus.SENT}, {RefundStatus.UNKNOWN})
            )
            AND NOT EXISTS (
                SELECT FROM payments_notification WHERE payment_id = payment.id
                    AND status IN ({NotificationStatus.RECEIVED}, {NotificationStatus.ASKED},
                        {NotificationStatus.QUARANTINED})
            )
        """,
    ),
    Rule(
        "whole_refunds_end_orders",
        "An external refund that took the last of what an order was paid with has ended the order; only "
        "partial ones wait for staff.",
        """
        SELECT orders.order_number, refund.out_request_no, refund.amount FROM payments_refund AS refund
        JOIN payments_payment AS payment ON payment.id = refund.payment_id AND NOT payment.is_surplus
        JOIN shop_order AS orders ON orders.id = refund.order_id AND orders.status = {OrderStatus.PAID}
        WHERE refund.kind = {RefundKind.EXTERNAL} AND refund.status = {RefundStatus.SUCCEEDED}
            AND refund.explanation = ''
            AND payment.refunded_amount = payment.amount AND NOT EXISTS (
                SELECT FROM payments_refund WHERE payment_id = payment.id
                    AND status IN ({RefundStatus.REPORTED}, {RefundStatus.SENT}, {RefundStatus.UNKNOWN})
            )
        """,
    ),
    Rule(
        "surplus_goes_back",
        "Money that nobody owed has refunds of its whole amount (or more, while one of ours is yet to be "
        "refused), unless staff gave it up.",
        """
        SELECT payment.out_trade_no, payment.amount, refund.amount AS refunds FROM payments_payment AS payment
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(amount) FILTER (WHERE status NOT IN ({RefundStatus.REJECTED},
                {RefundStatus.REPORTED})), 0) AS amount,
                bool_or(status = {RefundStatus.REJECTED} AND decided_by_id IS NOT NULL) AS is_given_up
            FROM payments_refund WHERE payment_id = payment.id
        ) AS refund ON true
        WHERE payment.is_surplus AND refund.amount < payment.amount
            AND NOT coalesce(refund.is_given_up, false)
        """,
    ),
)
