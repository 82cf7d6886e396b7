"""Codes of campaigns, and their download."""

import csv
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.decorators import display

from shop.desk.display import link_to
from shop.desk.exports import BOM, defuse
from shop.desk.filters import choose
from shop.desk.readonly import ReadOnlyAdmin
from shop.domain.coupons import codes
from shop.models import CouponCode

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
