"""Work rows: whatever is unfinished is due at some time, and gets done."""

from datetime import timedelta

from payments.domain.upkeep.audit.rule import Rule

# Leases and backoffs move a row's due time along; what stays due for so long, nobody claims.
OVERDUE_AFTER = timedelta(minutes=15)

RULES = (
    Rule(
        "work_is_not_lost",
        "Everything that isn't finished is due at some time, waits for staff, or was given up where people "
        "see it.",
        """
        SELECT 'request' AS kind, order_number AS what FROM shop_orderrequest
        WHERE status = {OrderRequestStatus.PENDING} AND available_at IS NULL AND dead_at IS NULL
        UNION ALL SELECT 'order', order_number FROM shop_order WHERE status = {OrderStatus.AWAITING_PAYMENT}
        AND available_at IS NULL AND dead_at IS NULL
        UNION ALL SELECT 'payment', out_trade_no FROM payments_payment WHERE status = {PaymentStatus.OPEN}
        AND available_at IS NULL AND dead_at IS NULL
        UNION ALL SELECT 'notification', out_trade_no FROM payments_notification
        WHERE status = {NotificationStatus.RECEIVED} AND available_at IS NULL AND dead_at IS NULL
        UNION ALL SELECT 'asked notification', notification.out_trade_no
        FROM payments_notification AS notification
            LEFT JOIN payments_payment AS payment ON payment.id = notification.payment_id
            WHERE notification.status = {NotificationStatus.ASKED} AND payment.available_at IS NULL
        UNION ALL SELECT 'refund', out_request_no FROM payments_refund
            WHERE (status = {RefundStatus.REPORTED}
                OR (status IN ({RefundStatus.REQUESTED}, {RefundStatus.SENT}, {RefundStatus.UNKNOWN})
                    AND approved_at IS NOT NULL))
                AND available_at IS NULL AND dead_at IS NULL
        UNION ALL SELECT 'bill', day::text FROM payments_bill
            WHERE status = {BillStatus.WAITING} AND available_at IS NULL AND dead_at IS NULL
        """,
    ),
    Rule(
        "work_is_done_in_time",
        "Nothing that is due has waited for a quarter of an hour: somebody claims it long before that.",
        """
        SELECT 'request' AS kind, order_number AS what, available_at FROM shop_orderrequest
        WHERE available_at < %(overdue)s
        UNION ALL SELECT 'order', order_number, available_at FROM shop_order WHERE available_at < %(overdue)s
        UNION ALL SELECT 'payment', out_trade_no, available_at FROM payments_payment
        WHERE available_at < %(overdue)s
        UNION ALL SELECT 'notification', out_trade_no, available_at FROM payments_notification
        WHERE available_at < %(overdue)s
        UNION ALL SELECT 'refund', out_request_no, available_at FROM payments_refund
        WHERE available_at < %(overdue)s
        UNION ALL SELECT 'bill', day::text, available_at FROM payments_bill WHERE available_at < %(overdue)s
        """,
        is_about_time=True,
    ),
)
