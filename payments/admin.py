"""The operators' view of payments: to be read only. What has to be done by people is done with commands that leave a trace."""

from django.contrib import admin
from django.db.models import Case, Value, When

from payments.models import Notification, Payment
from payments.states import NotificationStatus
from shop.admin import ReadOnlyAdmin, ReadOnlyInline


class NotificationInline(ReadOnlyInline):
    model = Notification
    fields = ("received_at", "trade_status", "status", "reason", "handled_at")


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    list_display = (
        "out_trade_no",
        "order",
        "product",
        "amount",
        "status",
        "trade_no",
        "created_at",
        "paid_at",
        "refunded_amount",
        "dead_at",
    )
    list_filter = ("status", "product", ("dead_at", admin.EmptyFieldListFilter))
    list_select_related = ("order",)
    search_fields = ("=out_trade_no", "=trade_no", "=order__order_number")
    date_hierarchy = "created_at"
    inlines = (NotificationInline,)


@admin.register(Notification)
class NotificationAdmin(ReadOnlyAdmin):
    """What is quarantined comes first: somebody has to look at it."""

    ordering = (Case(When(status=NotificationStatus.QUARANTINED, then=Value(0)), default=Value(1)).asc(), "-id")
    list_display = ("out_trade_no", "trade_status", "status", "reason", "payment", "received_at", "handled_at", "attempts")
    list_filter = ("status", "trade_status", "reason")
    list_select_related = ("payment",)
    search_fields = ("=out_trade_no", "=notify_id")
