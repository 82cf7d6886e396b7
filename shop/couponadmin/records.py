"""Coupons that buyers have."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from shop.desk.columns import BuyerColumn, OrderColumn
from shop.desk.readonly import ReadOnlyAdmin
from shop.models import CouponRecord
from shop.states import CouponRecordStatus


@admin.register(CouponRecord)
class CouponRecordAdmin(OrderColumn, BuyerColumn, ReadOnlyAdmin):
    whole_table = ("q",)
    list_display = (
        "shown_status",
        "coupon",
        "buyer",
        "valid_from_date",
        "valid_until_date",
        "of_order",
        "used_at",
        "number",
    )
    list_filter = ("status",)
    list_select_related = ("coupon", "account", "order")
    search_fields = ("=number", "=account__username")

    @display(
        description=_("状态"),
        ordering="status",
        label={
            CouponRecordStatus.UNUSED: "info",
            CouponRecordStatus.RESERVED: "warning",
            CouponRecordStatus.USED: "success",
        },
    )
    def shown_status(self, record: CouponRecord) -> tuple[str, str]:
        return record.status, record.get_status_display()
