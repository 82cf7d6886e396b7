"""The operators' view of the shop. Catalogue and campaigns are edited here; whatever moves money or records it can only be read."""

from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from knox.models import AuthToken

from shop import accountadmin, catalogueadmin  # noqa: F401 - register themselves
from shop.adminforms import EditedFields
from shop.models import (
    Coupon,
    CouponRecord,
    Course,
    Enrolment,
    LedgerTransfer,
    Order,
    OrderEvent,
    OrderLine,
    OrderRequest,
)
from shop.states import SELLABLE_COURSE_TYPES

if TYPE_CHECKING:
    CouponAdminBase = admin.ModelAdmin[Coupon]
    AnyAdminBase = admin.ModelAdmin[Any]
    AnyInlineBase = admin.TabularInline[Any, Any]
else:  # Django's classes take no parameters at run time
    CouponAdminBase = AnyAdminBase = admin.ModelAdmin
    AnyInlineBase = admin.TabularInline

# A login's token is a secret of its buyer; nobody makes one for somebody else.
admin.site.unregister(AuthToken)
admin.site.site_header = admin.site.site_title = "课程商店运营后台"
admin.site.index_title = "总览"


class ReadOnly:
    """For rows that only the shop itself may write: nobody adds, changes or deletes one by hand, superusers included."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, AnyAdminBase):
    """A table that is looked at, newest rows first. An exact count of a large table would cost more than the page."""

    ordering: ClassVar[tuple[str | Combinable, ...]] = ("-id",)
    list_per_page = 50
    show_full_result_count = False


class ReadOnlyInline(ReadOnly, AnyInlineBase):
    """Rows shown below the one that they belong to."""

    extra = 0
    can_delete = False


class CouponForm(EditedFields):
    """The database's rules that a form can't see by itself, said in words."""

    def clean_quantity(self) -> int:
        quantity: int = self.cleaned_data["quantity"]
        if quantity < self.instance.claimed_count:
            raise forms.ValidationError(f"已领取 {self.instance.claimed_count} 张，数量不能更少。")
        return quantity

    def clean_course(self) -> Course | None:
        course: Course | None = self.cleaned_data["course"]
        if course is not None and course.course_type not in SELLABLE_COURSE_TYPES:
            raise forms.ValidationError("VIP专享课程不单独出售，它的优惠券没有用处。")
        return course


@admin.register(Coupon)
class CouponAdmin(CouponAdminBase):
    form = CouponForm
    list_display = ("name", "coupon_type", "scope", "course", "quantity", "claimed_count", "open_date", "close_date")
    list_filter = ("coupon_type", "scope")
    list_select_related = ("course",)
    search_fields = ("name",)
    autocomplete_fields = ("course",)
    # What a coupon takes off was promised to those who hold one.
    promised_fields = ("coupon_type", "money_equivalent_value", "off_percent", "minimum_consume", "scope", "course")

    def get_readonly_fields(self, request: HttpRequest, obj: Coupon | None = None) -> tuple[str, ...]:
        return ("claimed_count", *(self.promised_fields if obj is not None and obj.claimed_count else ()))

    def has_delete_permission(self, request: HttpRequest, obj: Coupon | None = None) -> bool:
        is_claimed = obj is not None and obj.claimed_count > 0
        return not is_claimed and super().has_delete_permission(request, obj)


@admin.register(CouponRecord)
class CouponRecordAdmin(ReadOnlyAdmin):
    list_display = ("number", "coupon", "account", "status", "valid_from_date", "valid_until_date", "order", "used_at")
    list_filter = ("status",)
    list_select_related = ("coupon", "account", "order")
    search_fields = ("=number", "=account__username")


@admin.register(OrderRequest)
class OrderRequestAdmin(ReadOnlyAdmin):
    list_display = ("order_number", "account", "status", "error_slug", "created_at", "decided_at", "attempts", "dead_at")
    list_filter = ("status", "error_slug", ("dead_at", admin.EmptyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("=order_number", "=account__username", "=request_id")


class OrderLineInline(ReadOnlyInline):
    model = OrderLine
    fields = (
        "course_name",
        "valid_period_display",
        "list_price",
        "coupon_record",
        "course_discount",
        "global_discount",
        "beili_amount",
        "cash_amount",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("coupon_record")


class OrderEventInline(ReadOnlyInline):
    model = OrderEvent
    fields = ("at", "kind", "cause", "details")


class LedgerTransferInline(ReadOnlyInline):
    model = LedgerTransfer
    fields = ("created_at", "debit", "credit", "amount", "memo", "key")


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    list_display = ("order_number", "account", "status", "payment_type", "list_total", "beili", "cash_due", "refunded_amount", "created_at")
    list_filter = ("status", "payment_type", ("dead_at", admin.EmptyFieldListFilter))
    list_select_related = ("account",)
    search_fields = ("=order_number", "=account__username")
    date_hierarchy = "created_at"
    inlines = (OrderLineInline, OrderEventInline, LedgerTransferInline)


@admin.register(Enrolment)
class EnrolmentAdmin(ReadOnlyAdmin):
    list_display = ("account", "course", "status", "valid_from", "valid_until", "revoked_at")
    list_filter = ("status",)
    list_select_related = ("account", "course")
    search_fields = ("=account__username", "course__name")


@admin.register(LedgerTransfer)
class LedgerTransferAdmin(ReadOnlyAdmin):
    list_display = ("key", "debit", "credit", "amount", "account", "order", "memo", "created_at")
    list_filter = ("debit", "credit")
    list_select_related = ("account", "order")
    search_fields = ("key", "=account__username", "=order__order_number")
