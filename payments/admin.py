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
from payments.domain import inbox, polling
from payments.domain.refunds import deciding, explaining, surplus
from payments.gateways import find_gateways, get_gateways
from payments.gateways.protocol import GatewayError
from payments.models import Notification, Payment, Refund, RefundLine
from payments.states import NotificationStatus, RefundKind, RefundStatus
from payments.tasks import apply_notifications, query_payments, send_refunds
from shop import clock
from shop.desk.readonly import ReadOnlyAdmin, ReadOnlyInline
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
            except GatewayError as error:
                self.message_user(request, f"{row}：支付渠道没有给出结果，未作任何更改（{error}）。", messages.ERROR)
                continue
            done += 1
            LogEntry.objects.log_actions(_staff(request).pk, [row], CHANGE, what, single_object=True)
        if done:
            self.message_user(request, f"已处理 {done} {self.counted}。", messages.SUCCESS)
        return done


MOST_TEXT = 200


class DeedForm(ActionForm):
    """What the deeds ask for. Each says in its own words which of these it needs."""

    why = forms.CharField(label="理由", required=False, max_length=MOST_TEXT)
    number = forms.CharField(label="退款请求号 / 凭据号", required=False, max_length=64)
    courses = forms.CharField(label="课程编号（逗号分隔）", required=False, max_length=MOST_TEXT)


def _asked(request: HttpRequest, field: str) -> str:
    return request.POST.get(field, "").strip()[:MOST_TEXT]


@admin.register(Payment)
class PaymentAdmin(DecidingAdmin):
    list_display = (
        "out_trade_no",
        "order",
        "product",
        "amount",
        "status",
        "closed_reason",
        "trade_no",
        "created_at",
        "paid_at",
        "refunded_amount",
        "external_refunded",
        "dead_at",
    )
    list_filter = ("status", "closed_reason", "product", "is_surplus", ("dead_at", admin.EmptyFieldListFilter))
    list_select_related = ("order",)
    search_fields = ("=out_trade_no", "=trade_no", "=order__order_number")
    date_hierarchy = "created_at"
    inlines = (NotificationInline, RefundInline)
    action_form = DeedForm
    actions = ("ask_gateway", "report_external_refund", "refund_surplus")
    decide_permission = "payments.change_payment"
    counted = "笔支付"

    @admin.action(description="立即向支付渠道查询", permissions=["decide"])
    def ask_gateway(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        if self.decide(request, queryset, "查询支付渠道", lambda row: polling.ask_about_payment(row.pk, now=clock.now())):
            wake_soon(query_payments)

    @admin.action(description="登记在支付渠道侧完成的退款（须填写退款请求号）", permissions=["decide"])
    def report_external_refund(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        number = _asked(request, "number")[:64]
        if not number or queryset.count() != 1:
            self.message_user(request, "请选择一笔支付，并填写退款请求号。", messages.ERROR)
            return
        staff = _staff(request)
        deed = f"登记渠道侧退款 {number}"
        if self.decide(
            request,
            queryset,
            deed,
            lambda row: explaining.report_external_refund(row.pk, number=number, staff=staff, now=clock.now()),
        ):
            wake_soon(send_refunds)

    @admin.action(description="再次退回多付款项", permissions=["decide"])
    def refund_surplus(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        cause = _cause(request)
        if self.decide(
            request, queryset, "再次退回多付款项", lambda row: surplus.request_surplus_refund(row.pk, now=clock.now(), cause=cause)
        ):
            wake_soon(send_refunds)


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


@admin.register(Refund)
class RefundAdmin(DecidingAdmin):
    """What waits for a decision comes first, then what is to be explained, then what failed."""

    ordering: ClassVar[tuple[str | Combinable, ...]] = (
        Case(
            When(status=RefundStatus.REQUESTED, approved_at__isnull=True, then=Value(0)),
            When(kind=RefundKind.EXTERNAL, explanation="", status__in=[RefundStatus.REPORTED, RefundStatus.SUCCEEDED], then=Value(1)),
            When(status=RefundStatus.FAILED, then=Value(2)),
            default=Value(3),
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
        "explanation",
        "reason",
        "outcome",
        "reference",
        "requested_at",
        "approved_by",
        "decided_by",
        "finished_at",
    )
    list_filter = ("status", "kind", "explanation", ("dead_at", admin.EmptyFieldListFilter))
    list_select_related = ("order", "approved_by", "decided_by")
    search_fields = ("=out_request_no", "=order__order_number", "=payment__out_trade_no")
    date_hierarchy = "requested_at"
    inlines = (RefundLineInline,)
    action_form = DeedForm
    actions = ("approve", "reject", "pay_elsewhere", "explain_by_courses", "explain_as_goodwill", "dismiss_external")
    decide_permission = "payments.change_refund"
    counted = "笔退款"

    @admin.action(description="批准所选退款（失败的会再次提交）", permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        staff, cause = _staff(request), _cause(request)
        if self.decide(
            request, queryset, "批准退款", lambda row: deciding.approve_refund(row.pk, staff=staff, now=clock.now(), cause=cause)
        ):
            wake_soon(send_refunds)

    @admin.action(description="拒绝或放弃所选退款（须填写理由）", permissions=["decide"])
    def reject(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        why = _asked(request, "why")
        if not why:
            self.message_user(request, "请填写拒绝理由。", messages.ERROR)
            return
        staff, cause = _staff(request), _cause(request)

        def deed(row: Model) -> object:
            return deciding.reject_refund(row.pk, gateways=find_gateways(), staff=staff, why=why, now=clock.now(), cause=cause)

        self.decide(request, queryset, f"拒绝退款：{why}", deed)

    @admin.action(description="已通过其他方式退款（须填写凭据号；或填写渠道侧退款的请求号）", permissions=["decide"])
    def pay_elsewhere(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        reference = _asked(request, "number")[:100]
        if not reference or queryset.count() != 1:
            self.message_user(request, "请选择一笔退款，并填写凭据号。", messages.ERROR)
            return
        staff, cause = _staff(request), _cause(request)

        def deed(row: Model) -> object:
            return deciding.mark_refund_paid_elsewhere(
                row.pk, gateways=find_gateways(), reference=reference, staff=staff, now=clock.now(), cause=cause
            )

        if self.decide(request, queryset, f"已另行退款：{reference}", deed):
            wake_soon(send_refunds)

    @admin.action(description="渠道侧退款：用于所填课程（须填写课程编号和理由）", permissions=["decide"])
    def explain_by_courses(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        numbers = [number.strip() for number in _asked(request, "courses").replace("，", ",").split(",") if number.strip()]
        if not numbers or not all(number.isdecimal() for number in numbers):
            self.message_user(request, "请填写课程编号，用逗号分隔。", messages.ERROR)
            return
        self._explain(request, queryset, {int(number) for number in numbers}, f"课程 {'、'.join(numbers)}")

    @admin.action(description="渠道侧退款：善意补偿，课程保留（须填写理由）", permissions=["decide"])
    def explain_as_goodwill(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        self._explain(request, queryset, None, "善意补偿")

    @admin.action(description="渠道侧退款：未发生，不予登记（须填写理由）", permissions=["decide"])
    def dismiss_external(self, request: HttpRequest, queryset: QuerySet[Refund]) -> None:
        why = _asked(request, "why")
        if not why:
            self.message_user(request, "请填写理由。", messages.ERROR)
            return
        staff, cause = _staff(request), _cause(request)

        def deed(row: Model) -> object:
            return explaining.dismiss_external_refund(row.pk, gateways=get_gateways(), staff=staff, why=why, now=clock.now(), cause=cause)

        self.decide(request, queryset, f"渠道侧退款未发生：{why}", deed)

    def _explain(self, request: HttpRequest, queryset: QuerySet[Refund], course_ids: set[int] | None, what: str) -> None:
        why = _asked(request, "why")
        if not why or queryset.count() != 1:
            self.message_user(request, "请选择一笔退款，并填写理由。", messages.ERROR)
            return
        staff, cause = _staff(request), _cause(request)

        def deed(row: Model) -> object:
            return explaining.explain_external_refund(row.pk, course_ids=course_ids, staff=staff, why=why, now=clock.now(), cause=cause)

        if self.decide(request, queryset, f"渠道侧退款说明（{what}）：{why}", deed):
            wake_soon(send_refunds)


def _staff(request: HttpRequest) -> Account:
    assert isinstance(request.user, Account)  # the permission has been checked
    return request.user


def _cause(request: HttpRequest) -> str:
    return f"request:{request.META['shop.request_id']}"
