"""Campaigns in the admin: edited with their rules explained, previewed, ended early if they went out wrong;
and their codes.
"""

import csv
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldBooleanWidget

from shop.adminforms import EditedFields
from shop.desk.columns import BuyerColumn, OrderColumn
from shop.desk.deeds import Act, Deed, DeedForm, WithDeeds, why_field
from shop.desk.display import link_to, yuan
from shop.desk.exports import BOM, defuse
from shop.desk.filters import choose
from shop.desk.history import LoggedChanges
from shop.desk.readonly import ReadOnlyAdmin
from shop.domain.coupons import campaigns, codes, coupons
from shop.domain.pricing.rules import discount_of
from shop.errors import CouponNotApplicable
from shop.models import Coupon, CouponCode, CouponRecord, Course
from shop.states import SELLABLE_COURSE_TYPES, CouponRecordStatus, CouponType
from shop.texts import describe_coupon

if TYPE_CHECKING:
    CouponAdminBase = admin.ModelAdmin[Coupon]
else:  # Django's class takes no parameters at run time
    CouponAdminBase = ModelAdmin

SAMPLE_PRICES = tuple(map(Decimal, ("50.00", "99.00", "199.00", "399.00")))


def preview(coupon: Coupon) -> str:
    """The effect of the campaign's coupon on sample prices."""
    shown = []
    for price in SAMPLE_PRICES:
        try:
            saved = discount_of(coupons.terms_of(coupon), price)
            shown.append(f"{yuan(price)} → {yuan(price - saved)}")
        except CouponNotApplicable:
            shown.append(gettext("%(price)s 不可用") % {"price": yuan(price)})
    return gettext("；").join(shown)


class CouponForm(EditedFields):
    """A campaign; explains each violated constraint beside the field that violates it."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        self._say_terms(cleaned)
        self._say_dates(cleaned)
        return cleaned

    def clean_quantity(self) -> int:
        quantity: int = self.cleaned_data["quantity"]
        claimed = self.instance.claimed_count
        if quantity < claimed:
            raise forms.ValidationError(
                gettext("已领取 %(claimed_count)s 张，数量不能更少。") % {"claimed_count": claimed}
            )
        return quantity

    def clean_course(self) -> Course | None:
        course: Course | None = self.cleaned_data["course"]
        if course is not None and course.course_type not in SELLABLE_COURSE_TYPES:
            raise forms.ValidationError(gettext("VIP专享课程不单独出售，它的优惠券没有用处。"))
        return course

    def _say_terms(self, cleaned: dict[str, Any]) -> None:
        kind, value, percent = (
            cleaned.get("coupon_type"),
            cleaned.get("money_equivalent_value"),
            cleaned.get("off_percent"),
        )
        minimum, scope, course = cleaned.get("minimum_consume"), cleaned.get("scope"), cleaned.get("course")
        if "coupon_type" in self.fields and kind is not None:
            is_percent, is_threshold = kind == CouponType.PERCENT, kind == CouponType.THRESHOLD
            self._say(
                "money_equivalent_value", is_percent and bool(value), gettext("折扣券不填减免金额，请填 0。")
            )
            self._say(
                "money_equivalent_value",
                not is_percent and value is not None and value <= 0,
                gettext("请填写减免金额，须大于 0。"),
            )
            self._say(
                "off_percent",
                is_percent and (percent is None or not 1 <= percent <= 99),
                gettext("请填写 1 到 99：7.9 折写 79。"),
            )
            self._say(
                "off_percent", not is_percent and percent is not None, gettext("只有折扣券填写折扣，请留空。")
            )
            self._say(
                "minimum_consume",
                is_threshold and minimum is not None and minimum <= 0,
                gettext("满减券请填写满多少可用。"),
            )
            self._say(
                "minimum_consume",
                not is_threshold and bool(minimum),
                gettext("只有满减券填写满多少可用，请填 0。"),
            )
        if "scope" in self.fields and scope:
            self._say(
                "course",
                scope == "course" and course is None and "course" not in self.errors,
                gettext("请选择课程。"),
            )
            self._say(
                "course",
                scope != "course" and course is not None,
                gettext("只有“指定课程”的券选择课程，请留空。"),
            )

    def _say_dates(self, cleaned: dict[str, Any]) -> None:
        opens, closes = cleaned.get("open_date"), cleaned.get("close_date")
        begins, ends, days = (
            cleaned.get("valid_begin_date"),
            cleaned.get("valid_end_date"),
            cleaned.get("coupon_valid_days"),
        )
        self._say(
            "close_date", bool(opens and closes and closes < opens), gettext("结束日期不能早于开始日期。")
        )
        self._say(
            "valid_end_date", bool(begins and ends and ends < begins), gettext("结束日期不能早于开始日期。")
        )
        self._say("valid_end_date", bool(begins) and not ends, gettext("有开始日期就要有结束日期。"))
        self._say("valid_begin_date", bool(ends) and not begins, gettext("有结束日期就要有开始日期。"))
        is_endless = not (
            begins
            or ends
            or days
            or {"valid_begin_date", "valid_end_date", "coupon_valid_days"} & set(self.errors)
        )
        self._say("coupon_valid_days", is_endless, gettext("请填写有效期的起止日期，或领取后有效天数。"))
        self._say("coupon_valid_days", days == 0, gettext("天数须大于 0，或留空。"))

    def _say(self, name: str, is_wrong: bool, text: str) -> None:
        if is_wrong and name in self.fields and name not in self.errors:
            self.add_error(name, text)


class EndForm(DeedForm):
    takes_back = forms.BooleanField(
        label=_("同时收回未使用的券和兑换码"),
        required=False,
        widget=UnfoldBooleanWidget(),
        help_text=_("待支付订单中的券保留。"),
    )
    why = why_field()


class CodesForm(DeedForm):
    count = forms.IntegerField(
        label=_("生成多少个兑换码"),
        min_value=1,
        max_value=codes.MAX_AT_ONCE,
        widget=UnfoldAdminIntegerFieldWidget,
    )
    why = why_field()


def _deal(coupon: Coupon) -> str:
    return describe_coupon(coupons.terms_of(coupon), translate=gettext)


def _facts(coupon: Coupon) -> Sequence[tuple[str, Any]]:
    unused = CouponRecord.objects.filter(coupon=coupon, status=CouponRecordStatus.UNUSED).count()
    waiting = CouponCode.objects.filter(coupon=coupon, redeemed_at=None, withdrawn_at=None).count()
    return [
        (gettext("优惠"), _deal(coupon)),
        (gettext("数量"), coupon.quantity),
        (gettext("已领取"), coupon.claimed_count),
        (gettext("其中未使用"), unused),
        (gettext("未用的兑换码"), waiting),
        (gettext("效果"), preview(coupon)),
    ]


def _end(coupon: Coupon, act: Act) -> object:
    return campaigns.end_campaign(coupon.pk, takes_back=act.data["takes_back"], now=act.now)


def _say_ended(coupon: Coupon, ended: Any) -> str:
    return gettext("活动已结束：收回 %(coupons)s 张券、%(codes)s 个兑换码。") % {
        "coupons": ended.coupons,
        "codes": ended.codes,
    }


def _make_codes(coupon: Coupon, act: Act) -> object:
    return codes.make_codes(coupon_id=coupon.pk, count=act.data["count"], staff=act.staff, now=act.now)


@admin.register(Coupon)
class CouponAdmin(LoggedChanges, WithDeeds, CouponAdminBase):
    form = CouponForm
    list_display = ("does", "name", "scope", "course", "left", "open_date", "close_date", "way")
    list_display_links = ("does", "name")
    list_filter = ("coupon_type", "scope", "is_code_only")
    list_select_related = ("course",)
    search_fields = ("name",)
    list_fullwidth = True
    # A coupon's terms are a promise to those who hold one: read-only once one was claimed.
    promised_fields = (
        "coupon_type",
        "money_equivalent_value",
        "off_percent",
        "minimum_consume",
        "scope",
        "course",
    )
    deeds = (
        Deed(
            "end",
            _("提前结束活动"),
            "shop.change_coupon",
            _end,
            EndForm,
            log_text=lambda data: (
                f"提前结束活动{'，收回未使用的券' if data['takes_back'] else ''}：{data['why']}"
            ),
            facts=_facts,
            is_destructive=True,
            is_listed=False,
            success_text=_say_ended,
        ),
        Deed(
            "codes",
            _("生成兑换码"),
            "shop.make_codes",
            _make_codes,
            CodesForm,
            log_text=lambda data: f"生成 {data['count']} 个兑换码：{data['why']}",
            facts=_facts,
            is_listed=False,
            success_text=lambda coupon, batch: format_html(
                '{}<a class="desk-link" href="{}">{}</a>',
                gettext("兑换码已生成。"),
                reverse("admin:shop_couponcode_batch", args=[batch]),
                gettext("下载 CSV"),
            ),
        ),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Coupon | None = None) -> bool:
        is_used = obj is not None and (obj.claimed_count > 0 or obj.codes.exists())
        return not is_used and super().has_delete_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Coupon | None = None) -> tuple[str, ...]:
        if obj is None:
            return ("claimed_count",)
        return (
            "effect",
            "claimed_count",
            *(self.promised_fields if obj.claimed_count or obj.codes.exists() else ()),
        )

    def save_model(self, request: HttpRequest, obj: Coupon, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        self.message_user(
            request,
            gettext("%(terms)s。%(preview)s") % {"terms": _deal(obj), "preview": preview(obj)},
            messages.INFO,
        )

    @display(description=_("优惠"))
    def does(self, coupon: Coupon) -> str:
        return _deal(coupon)

    @display(description=_("已领 / 数量"), ordering="claimed_count")
    def left(self, coupon: Coupon) -> str:
        return f"{coupon.claimed_count} / {coupon.quantity}"

    @display(description=_("领取方式"), ordering="is_code_only")
    def way(self, coupon: Coupon) -> Any:
        return _("仅兑换码") if coupon.is_code_only else _("公开领取")

    @display(description=_("效果预览"))
    def effect(self, coupon: Coupon) -> str:
        return preview(coupon)


CODE_STATES = choose(
    "state",
    _("状态"),
    {
        "open": (_("未使用"), lambda: Q(redeemed_at=None, withdrawn_at=None)),
        "redeemed": (_("已兑换"), lambda: Q(redeemed_at__isnull=False)),
        "withdrawn": (_("已作废"), lambda: Q(withdrawn_at__isnull=False)),
    },
)


@admin.register(CouponCode)
class CouponCodeAdmin(ReadOnlyAdmin):
    """A code is as good as the coupon: pages show only its beginning, and only staff with the permission to
    make codes can download them in full.
    """

    fields = (
        "hidden_code",
        "coupon",
        "batch",
        "record",
        "created_at",
        "created_by",
        "redeemed_at",
        "withdrawn_at",
    )
    readonly_fields = ("hidden_code",)

    list_display = (
        "state",
        "hidden_code",
        "coupon",
        "holder",
        "created_at",
        "created_by",
        "redeemed_at",
        "file",
    )
    list_display_links = None
    list_filter = (CODE_STATES,)
    list_select_related = ("coupon", "record__account", "created_by")
    search_fields = ("=code", "=batch")

    def get_urls(self) -> list[URLPattern]:
        page = path(
            "batches/<slug:batch>.csv",
            self.admin_site.admin_view(self.batch_view),
            name="shop_couponcode_batch",
        )
        return [page, *super().get_urls()]

    def batch_view(self, request: HttpRequest, batch: str) -> HttpResponse:
        """The unused codes of a batch, as CSV."""
        if not request.user.has_perm("shop.make_codes"):
            raise PermissionDenied
        answer = HttpResponse(
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="codes-{batch}.csv"'},
        )
        answer.write(BOM)
        csv.writer(answer).writerows(
            [["兑换码"], *([defuse(code)] for code in codes.list_codes(batch=batch))]
        )
        return answer

    @display(description=_("状态"), label={"open": "info", "redeemed": "success", "withdrawn": "warning"})
    def state(self, code: CouponCode) -> tuple[str, Any]:
        if code.withdrawn_at:
            return "withdrawn", _("已作废")
        return ("redeemed", _("已兑换")) if code.redeemed_at else ("open", _("未使用"))

    @display(description=pgettext_lazy("one", "兑换码"))
    def hidden_code(self, code: CouponCode) -> str:
        return str(code)

    @display(description=_("兑换人"))
    def holder(self, code: CouponCode) -> str:
        return link_to(code.record.account) if code.record else "–"

    @display(description=_("批次"))
    def file(self, code: CouponCode) -> str:
        return format_html(
            '<a class="desk-link" href="{}">CSV</a>',
            reverse("admin:shop_couponcode_batch", args=[code.batch]),
        )


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
