"""The operators' view of payments. Rows are read only; what people have to decide are actions, each one call into the domain, logged."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Case, Model, QuerySet, Value, When
from django.db.models.expressions import Combinable
from django.http import HttpRequest

from payments import accountadmin  # noqa: F401 - registers itself
from payments.domain import inbox, refunds
from payments.models import Notification, Payment, Refund, RefundLine
from payments.states import NotificationStatus, RefundStatus
from payments.tasks import apply_notifications, send_refunds
from shop import clock
from shop.admin import ReadOnlyAdmin, ReadOnlyInline
from shop.errors import DomainError
from shop.models import Account
from shop.wakeup import wake_soon


class NotificationInline(ReadOnlyInline):
    model = Notification
    fields = ("received_at", "trade_status", "status", "reason", "handled_at")


class RefundInline(ReadOnlyInline):
    model = Refund
    fields = ("out_request_no", "kind", "amount", "beili", "status", "outcome", "finished_at")


class RefundLineInline(ReadOnlyInline):
    model = RefundLine
    fields = ("order_line", "is_live")


class DecidingAdmin(ReadOnlyAdmin):
    """A read-only table with actions. They need the permission `decide_permission` and leave an entry in the admin's log."""

    decide_permission: ClassVar[str]
    counted: ClassVar[str]

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """What `@admin.action(permissions=["decide"])` asks."""
        return isinstance(request.user, Account) and request.user.has_perm(self.decide_permission)

    def decide(self, request: HttpRequest, rows: QuerySet[Any], what: str, deed: Callable[[Model], object]) -> int:
        """Does `deed` to each row, one transaction each, logs what was done and says what was refused. Answers how many were done."""
        done = 0
        for row in rows.order_by("pk"):
            try:
                deed(row)
            except DomainError as refusal:
                self.message_user(request, f"{row}：{refusal.text}", messages.ERROR)
                continue
            done += 1
            LogEntry.objects.log_actions(_staff(request).pk, [row], CHANGE, what, single_object=True)
        if done:
            self.message_user(request, f"已处理 {done} {self.counted}。", messages.SUCCESS)
        return done


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
    list_filter = ("status", "product", "is_surplus", ("dead_at", admin.EmptyFieldListFilter))
    list_select_related = ("order",)
    search_fields = ("=out_trade_no", "=trade_no", "=order__order_number")
    date_hierarchy = "created_at"
    inlines = (NotificationInline, RefundInline)


@admin.register(Notification)
class NotificationAdmin(DecidingAdmin):
    """What is quarantined comes first: somebody has to look at it."""

    ordering: ClassVar[tuple[str | Combinable, ...]] = (
        Case(When(status=NotificationStatus.QUARANTINED, then=Value(0)), default=Value(1)).asc(),
        "-id",
    )
    list_display = ("out_trade_no", "trade_status", "status", "reason", "payment", "received_at", "handled_at", "attempts")
    list_filter = ("status", "trade_status", "reason")
    list_select_related = ("payment",)
    search_fields = ("=out_trade_no", "=notify_id")
    actions = ("reapply",)
    decide_permission = "payments.change_notification"
    counted = "条通知"

    @admin.action(description="重新处理（待人工处理的通知）", permissions=["decide"])
    def reapply(self, request: HttpRequest, queryset: QuerySet[Notification]) -> None:
        if self.decide(request, queryset, "重新处理", lambda row: inbox.reapply_notification(row.pk, now=clock.now())):
            wake_soon(apply_notifications)


class RefundActionForm(ActionForm):
    why = forms.CharField(label="拒绝理由", required=False, max_length=200)


@admin.register(Refund)
class RefundAdmin(DecidingAdmin):
    """What waits for a decision comes first, then what failed: both are owed to somebody."""

    ordering: ClassVar[tuple[str | Combinable, ...]] = (
        Case(
            When(status=RefundStatus.REQUESTED, approved_at__isnull=True, then=Value(0)),
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
    search_fields = ("=out_request_no", "=order__order_number", "=payment__out_trade_no")
    date_hierarchy = "requested_at"
    inlines = (RefundLineInline,)
    action_form = RefundActionForm
    actions = ("approve", "reject")
    decide_permission = "payments.change_refund"
    counted = "笔退款"

    @admin.action(description="批准所选退款（失败的会再次提交）", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        staff, cause = _staff(request), _cause(request)
        if self.decide(
            request, queryset, "批准退款", lambda row: refunds.approve_refund(row.pk, staff=staff, now=clock.now(), cause=cause)
        ):
            wake_soon(send_refunds)

    @admin.action(description="拒绝所选退款（须填写理由）", permissions=["decide"])
    def reject(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        why = request.POST.get("why", "").strip()[:200]
        if not why:
            self.message_user(request, "请填写拒绝理由。", messages.ERROR)
            return
        staff, cause = _staff(request), _cause(request)
        self.decide(
            request,
            queryset,
            f"拒绝退款：{why}",
            lambda row: refunds.reject_refund(row.pk, staff=staff, why=why, now=clock.now(), cause=cause),
        )


def _staff(request: HttpRequest) -> Account:
    assert isinstance(request.user, Account)  # the permission has been checked
    return request.user


def _cause(request: HttpRequest) -> str:
    return f"request:{request.META['shop.request_id']}"
