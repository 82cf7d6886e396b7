"""Campaigns: edited with a preview of their effect, ended early, and given codes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldBooleanWidget

from shop.couponadmin.form import CouponForm
from shop.couponadmin.preview import preview
from shop.desk.deeds import Act, Deed, DeedForm, WithDeeds, why_field
from shop.desk.history import LoggedChanges
from shop.domain.coupons import campaigns, codes, coupons
from shop.models import Coupon, CouponCode, CouponRecord
from shop.states import CouponRecordStatus
from shop.texts import describe_coupon

if TYPE_CHECKING:
    CouponAdminBase = admin.ModelAdmin[Coupon]
else:  # Django's class takes no parameters at run time
    CouponAdminBase = ModelAdmin


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
    # A coupon's terms are a promise to its holder: they are read-only once a coupon was claimed or codes were
    # made.
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
