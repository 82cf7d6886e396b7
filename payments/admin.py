"""Payments in the admin.

Rows are read-only. Staff act on them by deeds: each makes one call into the domain and writes a log entry.
"""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Case, Q, Value, When
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from payments import accountadmin, billadmin, enrolmentadmin  # noqa: F401 - register themselves
from payments.desk import orderadmin  # noqa: F401 - registers itself
from payments.desk.paymentdeeds import NOTIFICATION_DEEDS, PAYMENT_DEEDS
from payments.desk.refunddeeds import REFUND_DEEDS
from payments.gateways.protocol import GatewayError
from payments.models import Notification, Payment, Refund, RefundLine
from payments.states import NotificationStatus, PaymentStatus, RefundKind, RefundStatus
from shop.desk.columns import OrderColumn
from shop.desk.deeds import DeedsAdmin, UrgentFirst
from shop.desk.display import yuan
from shop.desk.filters import DEAD, SinceFilter, choose
from shop.desk.readonly import ReadOnlyInline


class NotificationInline(ReadOnlyInline):
    model = Notification
    fields = ("received_at", "trade_status", "status", "reason", "handled_at")


class RefundInline(ReadOnlyInline):
    model = Refund
    fields = ("out_request_no", "kind", "amount", "beili", "status", "outcome", "finished_at")


class RefundLineInline(ReadOnlyInline):
    model = RefundLine
    fields = ("order_line", "cash_amount", "beili_amount", "is_live")


class MoneyAdmin(DeedsAdmin):
    """A table whose deeds may call the gateway, which may be unreachable."""

    failures = (GatewayError,)

    def describe_failure(self, error: Exception) -> str:
        return gettext("支付渠道没有给出结果，未作任何更改（%(error)s）。") % {"error": error}


@admin.register(Payment)
class PaymentAdmin(OrderColumn, MoneyAdmin):
    list_display = (
        "shown_amount",
        "shown_status",
        "out_trade_no",
        "of_order",
        "product",
        "paid_at",
        "shown_refunded",
        "trade_no",
    )
    list_display_links = ("out_trade_no",)
    list_filter = ("status", DEAD, ("created_at", SinceFilter), "product", "closed_reason", "is_surplus")
    list_select_related = ("order",)
    search_fields = ("=out_trade_no", "=trade_no", "=order__order_number")
    inlines = (NotificationInline, RefundInline)
    deeds = PAYMENT_DEEDS
    actions: Any = tuple(deed.name for deed in PAYMENT_DEEDS if deed.is_listed)
    counted = _("笔支付")

    @display(description=_("金额"), ordering="amount")
    def shown_amount(self, payment: Payment) -> str:
        return yuan(payment.amount)

    @display(
        description=_("状态"),
        ordering="status",
        label={
            PaymentStatus.OPEN: "info",
            PaymentStatus.PAID: "success",
            PaymentStatus.CLOSED: "warning",
            "dead": "danger",
        },
    )
    def shown_status(self, payment: Payment) -> tuple[str, str]:
        return (
            ("dead", gettext("已放弃查询"))
            if payment.dead_at
            else (payment.status, payment.get_status_display())
        )

    @display(description=_("已退"), ordering="refunded_amount")
    def shown_refunded(self, payment: Payment) -> str:
        return yuan(payment.refunded_amount) if payment.refunded_amount else "–"


@admin.register(Notification)
class NotificationAdmin(UrgentFirst, MoneyAdmin):
    """Quarantined notifications come first: somebody has to look at them."""

    ordering: ClassVar[tuple[str | Combinable, ...]] = (
        Case(When(status=NotificationStatus.QUARANTINED, then=Value(0)), default=Value(1)).asc(),
        "-id",
    )
    list_display = (
        "shown_status",
        "amount",
        "reason",
        "out_trade_no",
        "trade_status",
        "received_at",
        "handled_at",
        "attempts",
        "note",
    )
    list_display_links = ("out_trade_no",)
    list_filter = ("status", DEAD, ("received_at", SinceFilter))
    list_select_related = ("payment",)
    search_fields = ("=out_trade_no",)
    fields = (
        "status", "amount", "reason", "first_reason", "note", "dismissed_by", "payment", "out_trade_no",
        "trade_status", "received_at",
        "handled_at", "attempts", "last_error", "told", "notify_id", "verified_by", "raw_body",
    )  # fmt: skip
    readonly_fields = ("amount", "told")
    deeds = NOTIFICATION_DEEDS
    actions: Any = tuple(deed.name for deed in NOTIFICATION_DEEDS)
    counted = _("条通知")

    def is_narrow(self, request: HttpRequest) -> bool:
        return (
            super().is_narrow(request) or request.GET.get("status__exact") == NotificationStatus.QUARANTINED
        )

    def get_window(self) -> int:
        # Rows are large: each holds the whole signed body.
        return 20_000

    @display(
        description=_("状态"),
        ordering="status",
        label={
            NotificationStatus.RECEIVED: "info",
            NotificationStatus.ASKED: "info",
            NotificationStatus.APPLIED: "success",
            NotificationStatus.QUARANTINED: "danger",
        },
    )
    def shown_status(self, row: Notification) -> tuple[str, str]:
        return row.status, row.get_status_display()

    @display(description=_("金额"))
    def amount(self, row: Notification) -> str:
        return yuan(row.told_amount)

    @display(description=_("字段"))
    def told(self, row: Notification) -> str:
        return format_html_join(
            "",
            gettext("{}：{}") + "<br>",
            ((name, told) for name, told in sorted(row.fields.items()) if name != "sign"),
        )


TO_DO = choose(
    "waiting",
    _("待办"),
    {
        "approve": (_("待批准"), lambda: Q(status=RefundStatus.REQUESTED, approved_at__isnull=True)),
        "explain": (
            _("渠道侧退款待说明"),
            lambda: Q(kind=RefundKind.EXTERNAL, explanation="") & ~Q(status=RefundStatus.REJECTED),
        ),
        "failed": (_("失败"), lambda: Q(status=RefundStatus.FAILED)),
    },
)


@admin.register(Refund)
class RefundAdmin(OrderColumn, UrgentFirst, MoneyAdmin):
    """Refunds that need a decision come first, then those that need an explanation, then failed ones."""

    ordering: ClassVar[tuple[str | Combinable, ...]] = (
        Case(
            When(status=RefundStatus.REQUESTED, approved_at__isnull=True, then=Value(0)),
            When(
                kind=RefundKind.EXTERNAL,
                explanation="",
                status__in=[RefundStatus.REPORTED, RefundStatus.SUCCEEDED],
                then=Value(1),
            ),
            When(status=RefundStatus.FAILED, then=Value(2)),
            default=Value(3),
        ).asc(),
        "-id",
    )
    list_display = (
        "shown_amount",
        "shown_status",
        "kind",
        "of_order",
        "told",
        "requested_at",
        "requester",
        "decider",
        "finished_at",
    )
    list_display_links = ("shown_amount",)
    list_filter = (TO_DO, "status", "kind", DEAD, ("requested_at", SinceFilter), "explanation")
    list_select_related = ("order", "approved_by", "decided_by", "requested_by")
    search_fields = ("=out_request_no", "=order__order_number", "=payment__out_trade_no")
    inlines = (RefundLineInline,)
    deeds = REFUND_DEEDS
    actions: Any = tuple(deed.name for deed in REFUND_DEEDS if deed.is_listed)
    counted = _("笔退款")

    @display(description=_("金额"), ordering="amount")
    def shown_amount(self, refund: Refund) -> str:
        return (
            gettext("%(amount)s + %(beili)s 贝里") % {"amount": yuan(refund.amount), "beili": refund.beili}
            if refund.beili
            else yuan(refund.amount)
        )

    @display(
        description=_("状态"),
        ordering="status",
        label={
            RefundStatus.REPORTED: "warning",
            RefundStatus.REQUESTED: "warning",
            RefundStatus.SENT: "info",
            RefundStatus.UNKNOWN: "info",
            RefundStatus.SUCCEEDED: "success",
            RefundStatus.PAID_ELSEWHERE: "success",
            RefundStatus.FAILED: "danger",
        },
    )
    def shown_status(self, refund: Refund) -> tuple[str, str]:
        is_approved = refund.status == RefundStatus.REQUESTED and refund.approved_at is not None
        return refund.status, gettext("已批准，待提交") if is_approved else refund.get_status_display()

    @display(description=_("原因与处理"))
    def told(self, refund: Refund) -> str:
        return (
            gettext("；").join(
                text
                for text in (
                    refund.reason,
                    refund.get_explanation_display(),
                    refund.outcome,
                    refund.reference,
                )
                if text
            )
            or "–"
        )

    @display(description=_("申请人"))
    def requester(self, refund: Refund) -> str:
        return (
            refund.requested_by.get_username()
            if refund.requested_by
            else pgettext("one", "买家")
            if refund.kind == RefundKind.ORDER
            else "–"
        )

    @display(description=_("处理人"))
    def decider(self, refund: Refund) -> str:
        who = refund.decided_by or refund.approved_by
        return who.get_username() if who else "–"
