"""The gateway's bills in the admin, and their differences from the books."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Case, Value, When
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from payments.desk.billdeeds import BILL_DEEDS, DIFFERENCE_DEEDS
from payments.models import Bill, BillDifference
from payments.states import BillStatus, DifferenceStatus
from shop.desk.deeds import DeedsAdmin, UrgentFirst
from shop.desk.display import yuan
from shop.desk.filters import DEAD, SinceFilter


@admin.register(BillDifference)
class BillDifferenceAdmin(UrgentFirst):
    """Open differences come first: somebody has to explain them."""

    ordering: ClassVar[tuple[str | Combinable, ...]] = (
        Case(When(status=DifferenceStatus.OPEN, then=Value(0)), default=Value(1)).asc(),
        "-id",
    )
    list_display = (
        "shown_told",
        "shown_ours",
        "shown_status",
        "subject",
        "shown_kind",
        "day",
        "number",
        "told",
    )
    list_display_links = ("number",)
    list_filter = ("status", "kind", "subject", ("found_at", SinceFilter))
    list_select_related = ("bill", "explained_by")
    search_fields = ("=out_trade_no", "=out_request_no", "=trade_no", "=order__order_number")
    fields = (
        "status", "kind", "subject", "told_amount", "our_amount", "out_trade_no", "out_request_no",
        "trade_no", "bill", "order", "payment", "found_at", "asked_at", "ended_at", "explained_by", "why",
        "reference",
    )  # fmt: skip
    deeds = DIFFERENCE_DEEDS
    actions: Any = tuple(deed.name for deed in DIFFERENCE_DEEDS)
    counted = _("项差异")

    def is_narrow(self, request: HttpRequest) -> bool:
        return super().is_narrow(request) or request.GET.get("status__exact") == DifferenceStatus.OPEN

    @display(description=_("账单金额"), ordering="told_amount")
    def shown_told(self, difference: BillDifference) -> str:
        return yuan(difference.told_amount)

    @display(description=_("本店金额"), ordering="our_amount")
    def shown_ours(self, difference: BillDifference) -> str:
        return yuan(difference.our_amount)

    @display(
        description=_("状态"),
        ordering="status",
        label={
            DifferenceStatus.OPEN: "warning",
            DifferenceStatus.SETTLED: "success",
            DifferenceStatus.EXPLAINED: "success",
        },
    )
    def shown_status(self, difference: BillDifference) -> tuple[str, str]:
        return difference.status, difference.get_status_display()

    @display(description=_("差异"), ordering="kind")
    def shown_kind(self, difference: BillDifference) -> str:
        return format_html('<span class="nowrap">{}</span>', difference.get_kind_display())

    @display(description=_("编号"))
    def number(self, difference: BillDifference) -> str:
        return difference.out_request_no or difference.out_trade_no or "–"

    @display(description=_("账单日"), ordering="bill__day")
    def day(self, difference: BillDifference) -> str:
        return format_html('<span class="nowrap">{}</span>', f"{difference.bill.day:%Y-%m-%d}")

    @display(description=_("处理说明"))
    def told(self, difference: BillDifference) -> str:
        if difference.explained_by is None:
            return "–"
        said = gettext("%(who)s：%(why)s") % {"who": difference.explained_by, "why": difference.why}
        return gettext("；").join(filter(None, (said, difference.reference)))


@admin.register(Bill)
class BillAdmin(DeedsAdmin):
    list_display = (
        "shown_day",
        "shown_status",
        "shown_trades",
        "trade_count",
        "shown_refunds",
        "refund_count",
        "shown_fee",
        "app_id",
        "compared_at",
    )
    list_display_links = ("shown_day",)
    list_filter = ("status", DEAD)
    fields = (
        "day", "provider", "app_id", "status", "compared_at", "trade_count", "trade_total", "refund_count",
        "refund_total", "fee_total", "available_at", "attempts", "last_error", "dead_at",
    )  # fmt: skip
    deeds = BILL_DEEDS
    actions: Any = tuple(deed.name for deed in BILL_DEEDS)
    counted = _("份对账单")

    @display(description=_("账单日"), ordering="day")
    def shown_day(self, bill: Bill) -> str:
        return f"{bill.day:%Y-%m-%d}"

    @display(
        description=_("状态"),
        ordering="status",
        label={BillStatus.WAITING: "info", BillStatus.COMPARED: "success", "dead": "danger"},
    )
    def shown_status(self, bill: Bill) -> tuple[str, str]:
        return ("dead", gettext("已放弃下载")) if bill.dead_at else (bill.status, bill.get_status_display())

    @display(description=_("交易金额"), ordering="trade_total")
    def shown_trades(self, bill: Bill) -> str:
        return yuan(bill.trade_total)

    @display(description=_("退款金额"), ordering="refund_total")
    def shown_refunds(self, bill: Bill) -> str:
        return yuan(bill.refund_total)

    @display(description=_("服务费"), ordering="fee_total")
    def shown_fee(self, bill: Bill) -> str:
        # Fees are negative in the gateway's bill.
        return yuan(-bill.fee_total)
