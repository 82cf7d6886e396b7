"""The shop's models in the admin.

Catalogue and campaigns can be edited; whatever moves or records money is read-only.
"""

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.utils.html import format_html
from django.utils.translation import gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from knox.models import AuthToken
from unfold.decorators import display

from shop import accountadmin, catalogueadmin, couponadmin  # noqa: F401 - register themselves
from shop.desk.columns import BuyerColumn, OrderColumn
from shop.desk.deeds import Act, Deed, DeedsAdmin
from shop.desk.display import memo, yuan
from shop.desk.filters import DEAD, SinceFilter
from shop.desk.readonly import ReadOnlyAdmin
from shop.domain.orders import repair
from shop.domain.purchase import Purchase
from shop.models import LedgerTransfer, OrderRequest
from shop.states import OrderRequestStatus
from shop.tasks import create_orders

# A token is its buyer's secret: staff don't create one on somebody's behalf.
admin.site.unregister(AuthToken)
admin.site.index_title = _("总览")


def _pick_up(request: OrderRequest, act: Act) -> object:
    return repair.pick_up_request(request.pk, now=act.now)


@admin.register(OrderRequest)
class OrderRequestAdmin(BuyerColumn, DeedsAdmin):
    """Order requests: pending, turned into an order, or rejected."""

    list_display = (
        "shown_status",
        "number",
        "buyer",
        "error_message",
        "created_at",
        "decided_at",
        "attempts",
        "dead_at",
    )
    list_filter = ("status", DEAD, ("created_at", SinceFilter))
    list_select_related = ("account",)
    list_display_links = ("number",)
    search_fields = ("=order_number", "=account__username")
    deeds = (
        Deed(
            "pick_up",
            _("重新处理"),
            "shop.pick_up_work",
            _pick_up,
            applies=lambda row: row.dead_at is not None,
            facts=lambda row: [
                (pgettext("one", "买家"), row.account),
                (gettext("应付"), yuan(Purchase.from_json(row.body).alipay)),
                (gettext("放弃原因"), row.last_error or gettext("没有记录")),
            ],
            hint=_("请求会按现在的价格、优惠券和余额重新核对；不再符合的会被拒绝，不产生任何扣款。"),
            wakes=create_orders,
        ),
    )
    counted = _("个下单请求")

    @display(
        description=_("状态"),
        ordering="status",
        label={
            OrderRequestStatus.PENDING: "info",
            OrderRequestStatus.CREATED: "success",
            OrderRequestStatus.REJECTED: "warning",
        },
    )
    def shown_status(self, row: OrderRequest) -> tuple[str, str]:
        return row.status, row.get_status_display()

    @display(description=_("订单号"), ordering="order_number")
    def number(self, row: OrderRequest) -> str:
        return row.order_number


@admin.register(LedgerTransfer)
class LedgerTransferAdmin(OrderColumn, BuyerColumn, ReadOnlyAdmin):
    list_display = ("shown_amount", "debit", "credit", "shown_memo", "buyer", "of_order", "created_at", "key")
    fields = ("key", "debit", "credit", "currency", "amount", "account", "order", "shown_memo", "created_at")
    readonly_fields = ("shown_memo",)
    list_filter = (("created_at", SinceFilter), "debit", "credit", "currency")
    list_select_related = ("account", "order")
    search_fields = ("=key", "=account__username", "=order__order_number")

    @display(description=pgettext_lazy("transfer", "说明"))
    def shown_memo(self, row: LedgerTransfer) -> str:
        return memo(row.memo) or "–"

    @display(description=_("数额"), ordering="amount")
    def shown_amount(self, row: LedgerTransfer) -> str:
        return (
            yuan(row.amount)
            if row.currency == LedgerTransfer.Currency.CNY
            else gettext("%(amount)s 贝里") % {"amount": f"{row.amount:,.0f}"}
        )


@admin.register(LogEntry)
class DeedLogAdmin(ReadOnlyAdmin):
    """Who did what in the admin, and why."""

    list_display = ("action_time", "user", "what", "told")
    list_filter = (("action_time", SinceFilter),)
    list_select_related = ("user", "content_type")
    search_fields = ("=user__username", "=object_id")
    list_display_links = None

    @display(description=_("对象"))
    def what(self, entry: LogEntry) -> str:
        url = entry.get_admin_url()
        name = f"{entry.content_type} {entry.object_repr}"
        return (
            format_html('<a class="desk-link" href="{}">{}</a>', url, name)
            if url and not entry.is_deletion()
            else name
        )

    @display(description=_("操作与理由"))
    def told(self, entry: LogEntry) -> str:
        return entry.get_change_message() or str(entry)
