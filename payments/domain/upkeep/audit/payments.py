"""Payments against orders, notifications and the gateway's bills."""

from payments.domain.upkeep.audit.rule import Rule

RULES = (
    Rule(
        "orders_paid_by_money",
        "An order that was paid and cost money has exactly one payment that paid it, of its amount; one that "
        "isn't paid has none.",
        """
        SELECT orders.order_number, orders.status, orders.cash_due, count(payment.id) AS payments,
            sum(payment.amount) AS paid FROM shop_order AS orders
        LEFT JOIN payments_payment AS payment ON payment.order_id = orders.id
            AND payment.status = {PaymentStatus.PAID} AND NOT payment.is_surplus
        GROUP BY orders.id
        HAVING coalesce(sum(payment.amount), 0) <> CASE WHEN orders.paid_at IS NOT NULL THEN orders.cash_due
            ELSE 0 END
        """,
    ),
    Rule(
        "paid_words_are_heard",
        "Every notification that said a trade was paid, and that was dealt with, has its payment paid; "
        "another is waiting or in quarantine.",
        """
        SELECT notification.id, notification.out_trade_no, notification.status, payment.status AS payment
        FROM payments_notification AS notification
        LEFT JOIN payments_payment AS payment ON payment.out_trade_no = notification.out_trade_no
        WHERE notification.told_status IN ({TradeStatus.PAID}, {TradeStatus.FINISHED})
            AND notification.status IN ({NotificationStatus.APPLIED}, {NotificationStatus.IGNORED})
            AND payment.paid_at IS NULL
        """,
    ),
    Rule(
        "bills_are_accounted_for",
        "What the gateway's bills say was paid or given back is so here too, to the fen, or a difference "
        "tells of it.",
        """
        SELECT entry.kind, entry.out_trade_no, entry.out_request_no, entry.amount
        FROM payments_billentry AS entry
        LEFT JOIN payments_payment AS payment ON payment.out_trade_no = entry.out_trade_no
        WHERE NOT CASE entry.kind
            WHEN {BillRowKind.TRADE} THEN payment.paid_at IS NOT NULL AND payment.amount = entry.amount
            WHEN {BillRowKind.REFUND} THEN EXISTS (
                SELECT FROM payments_refund AS refund
                WHERE refund.payment_id = payment.id AND refund.status = {RefundStatus.SUCCEEDED} AND (
                    (refund.out_request_no = entry.out_request_no AND refund.amount = entry.amount)
                    OR refund.out_request_no = payment.out_trade_no || 'E'
                )
            )
            ELSE false END
        AND NOT EXISTS (
            SELECT FROM payments_billdifference AS difference WHERE difference.subject = entry.kind
                AND difference.out_trade_no = entry.out_trade_no
                AND difference.out_request_no = entry.out_request_no
        )
        """,
    ),
)
