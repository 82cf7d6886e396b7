"""The operators' view of payments: to be read only. The one thing that people decide here is a refund, through the domain's own deeds."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest

from payments.domain import refunds
from payments.models import Notification, Payment, Refund, RefundLine
from payments.states import NotificationStatus, RefundStatus
from payments.tasks import send_refunds
from shop import clock
from shop.admin import ReadOnlyAdmin, ReadOnlyInline
from shop.errors import RefundNotOpen
from shop.models import Account
from shop.wakeup import wake

DEFAULT_REJECTION = "客服未批准"


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


class RefundActionForm(ActionForm):
    """Beside the choice of the action: what the buyer is told when a refund is rejected."""

    why = forms.CharField(label="拒绝说明", max_length=200, required=False)


class RefundLineInline(ReadOnlyInline):
    model = RefundLine
    fields = ("order_line", "is_live")


@admin.register(Refund)
class RefundAdmin(ReadOnlyAdmin):
    """What waits for a decision comes first, then what failed."""

    ordering = (
        Case(
            When(status=RefundStatus.REQUESTED, approved_at=None, then=Value(0)),
            When(status=RefundStatus.FAILED, then=Value(1)),
            default=Value(2),
        ).asc(),
        "-id",
    )
    list_display = (
        "out_request_no",
        "order",
        "kind",
        "amount",
        "beili",
        "status",
        "reason",
        "outcome",
        "requested_at",
        "approved_by",
        "finished_at",
    )
    list_filter = ("status", "kind", ("dead_at", admin.EmptyFieldListFilter))
    list_select_related = ("order", "approved_by")
    search_fields = ("=out_request_no", "=order__order_number")
    inlines = (RefundLineInline,)
    action_form = RefundActionForm
    actions = ("approve", "reject")

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Whoever may change refunds may decide on them; the rows themselves nobody edits."""
        assert isinstance(request.user, Account)
        return request.user.has_perm("payments.change_refund")

    @admin.action(description="批准所选退款（失败的会再次提交）", permissions=["decide"])
    def approve(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        decided = self._decide(request, chosen, refunds.approve_refund)
        if decided:
            wake(send_refunds)

    @admin.action(description="拒绝所选退款", permissions=["decide"])
    def reject(self, request: HttpRequest, chosen: QuerySet[Any]) -> None:
        why = request.POST.get("why", "").strip()[:200] or DEFAULT_REJECTION
        self._decide(request, chosen, lambda pk, **deed: refunds.reject_refund(pk, why=why, **deed))

    def _decide(self, request: HttpRequest, chosen: QuerySet[Any], decide: Callable[..., Refund]) -> int:
        decided = 0
        for pk, number in chosen.values_list("pk", "out_request_no"):
            try:
                decide(pk, staff=request.user, now=clock.now(), cause=f"request:{request.META['shop.request_id']}")
            except RefundNotOpen as refusal:
                self.message_user(request, f"{number}：{refusal.text}", messages.WARNING)
            else:
                decided += 1
        if decided:
            self.message_user(request, f"已处理 {decided} 笔退款。", messages.SUCCESS)
        return decided
