"""States move along their tables, what was agreed stays, and what has gone back doesn't come again."""

from django.db import migrations

from payments import states
from shop.models.triggers import allow_moves, freeze, only_rise


class Migration(migrations.Migration):
    dependencies = [("payments", "0004_refunds_by_number"), ("shop", "0005_guards")]

    operations = [
        allow_moves("payments_payment", states.PAYMENT_MOVES),
        allow_moves("payments_payment", states.CLOSED_REASON_MOVES, column="closed_reason"),
        allow_moves("payments_notification", states.NOTIFICATION_MOVES),
        allow_moves("payments_refund", states.REFUND_MOVES),
        freeze("payments_payment", "order_id", "provider", "out_trade_no", "amount", "app_id", "seller_id", "created_at"),
        freeze("payments_notification", "provider", "business_key", "notify_id", "out_trade_no", "trade_status", "told_status", "received_at"),
        freeze("payments_refund", "kind", "order_id", "payment_id", "out_request_no", "requested_at"),
        freeze("payments_refundline", "refund_id", "order_line_id", "cash_amount", "beili_amount"),
        only_rise("payments_payment", "refunded_amount", "external_refunded", "refund_told"),
    ]
