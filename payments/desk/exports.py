"""The CSV exports and their page."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.sites import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from payments.models import Payment, Refund
from shop.desk.deeds import staff_of
from shop.desk.exports import Export, count_at_most, write_csv
from shop.desk.history import log_language
from shop.models import LedgerTransfer, Order, OrderLine

LONGEST = timedelta(days=366)

EXPORTS = {
    one.name: one
    for one in (
        Export(
            "orders", pgettext_lazy("many", "订单"), Order, "created_at",
            lambda ids: Order.objects.filter(pk__in=ids).select_related("account").order_by("pk"),
            (
                ("订单号", lambda row: row.order_number), ("买家", lambda row: row.account.username),
                ("状态", lambda row: row.get_status_display()),
                ("支付方式", lambda row: row.get_payment_type_display()),
                ("原价", lambda row: row.list_total),
                ("课程券优惠", lambda row: row.course_discount),
                ("全场券优惠", lambda row: row.global_discount), ("贝里", lambda row: row.beili),
                ("贝里抵扣（元）", lambda row: row.beili_amount), ("应付（元）", lambda row: row.cash_due),
                ("已退（元）", lambda row: row.refunded_amount),
                ("已退贝里", lambda row: row.refunded_beili), ("下单时间", lambda row: row.created_at),
                ("支付时间", lambda row: row.paid_at),
                ("关闭时间", lambda row: row.closed_at), ("退款时间", lambda row: row.refunded_at),
            ),
        ),
        Export(
            "lines", pgettext_lazy("many", "订单课程"), Order, "created_at",
            lambda ids: OrderLine.objects.filter(order__in=ids)
            .select_related("order__account")
            .order_by("order_id", "pk"),
            (
                ("订单号", lambda row: row.order.order_number),
                ("买家", lambda row: row.order.account.username),
                ("订单状态", lambda row: row.order.get_status_display()),
                ("课程", lambda row: row.course_name),
                ("有效期", lambda row: row.valid_period_display), ("原价", lambda row: row.list_price),
                ("课程券优惠", lambda row: row.course_discount),
                ("全场券分摊", lambda row: row.global_discount),
                ("贝里抵扣（元）", lambda row: row.beili_amount), ("现金（元）", lambda row: row.cash_amount),
                ("下单时间", lambda row: row.order.created_at),
            ),
        ),
        Export(
            "payments", pgettext_lazy("many", "支付"), Payment, "created_at",
            lambda ids: Payment.objects.filter(pk__in=ids).select_related("order").order_by("pk"),
            (
                ("商户订单号", lambda row: row.out_trade_no), ("订单号", lambda row: row.order.order_number),
                ("金额（元）", lambda row: row.amount),
                ("状态", lambda row: row.get_status_display()),
                ("产品", lambda row: row.get_product_display()), ("支付宝交易号", lambda row: row.trade_no),
                ("已退（元）", lambda row: row.refunded_amount),
                ("渠道侧已退（元）", lambda row: row.external_refunded),
                ("多付", lambda row: "是" if row.is_surplus else ""),
                ("发起时间", lambda row: row.created_at), ("支付时间", lambda row: row.paid_at),
            ),
        ),
        Export(
            "refunds", pgettext_lazy("many", "退款"), Refund, "requested_at",
            lambda ids: Refund.objects.filter(pk__in=ids).select_related("order", "payment", "requested_by",
                "approved_by", "decided_by").order_by("pk"),
            (
                ("退款请求号", lambda row: row.out_request_no),
                ("订单号", lambda row: row.order.order_number),
                ("商户订单号", lambda row: row.payment and row.payment.out_trade_no),
                ("类型", lambda row: row.get_kind_display()),
                ("金额（元）", lambda row: row.amount), ("贝里", lambda row: row.beili),
                ("状态", lambda row: row.get_status_display()),
                ("原因", lambda row: row.reason), ("处理说明", lambda row: row.outcome),
                ("凭据", lambda row: row.reference),
                ("用途", lambda row: row.get_explanation_display()),
                ("申请人", lambda row: row.requested_by and row.requested_by.username),
                ("审批人", lambda row: row.approved_by and row.approved_by.username),
                ("处理人", lambda row: row.decided_by and row.decided_by.username),
                ("申请时间", lambda row: row.requested_at), ("完成时间", lambda row: row.finished_at),
            ),
        ),
        Export(
            "ledger", pgettext_lazy("many", "账目"), LedgerTransfer, "created_at",
            lambda ids: LedgerTransfer.objects.filter(pk__in=ids).select_related("account",
                "order").order_by("pk"),
            (
                ("时间", lambda row: row.created_at), ("转出", lambda row: row.get_debit_display()),
                ("转入", lambda row: row.get_credit_display()),
                ("币种", lambda row: row.get_currency_display()), ("数额", lambda row: row.amount),
                ("买家", lambda row: row.account and row.account.username),
                ("订单号", lambda row: row.order and row.order.order_number), ("说明", lambda row: row.memo),
                ("凭据", lambda row: row.key),
            ),
        ),
    )
}  # fmt: skip


class ExportForm(forms.Form):
    kind = forms.ChoiceField(
        label=_("内容"),
        choices=[(one.name, one.title) for one in EXPORTS.values()],
        widget=UnfoldAdminSelectWidget(),
    )
    since = forms.DateField(label=_("从"), widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}))
    until = forms.DateField(
        label=_("到（含当天）"), widget=UnfoldAdminTextInputWidget(attrs={"type": "date"})
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and not timedelta(0) <= until - since <= LONGEST:
            self.add_error("until", gettext("结束日期不能早于开始日期，一次最多导出 366 天。"))
        return cleaned


def export_view(request: HttpRequest, site: AdminSite) -> HttpResponse | StreamingHttpResponse:
    """Shows the form on GET; streams the file on POST."""
    if not request.user.has_perm("payments.export_books"):
        raise PermissionDenied
    form = ExportForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        context = {**site.each_context(request), "title": gettext("导出"), "form": form}
        return TemplateResponse(request, "desk/exports.html", context)
    export: Export = EXPORTS[form.cleaned_data["kind"]]
    since, until = (
        _midnight(form.cleaned_data["since"]),
        _midnight(form.cleaned_data["until"] + timedelta(days=1)),
    )
    days = f"{form.cleaned_data['since']}_{form.cleaned_data['until']}"
    with log_language():
        told = f"导出{export.title} {days}"
    LogEntry.objects.log_actions(staff_of(request).pk, [staff_of(request)], CHANGE, told, single_object=True)
    # Lets the page show progress while a long file downloads.
    headers = {
        "Content-Disposition": f'attachment; filename="{export.name}-{days}.csv"',
        "X-Rows-At-Most": str(count_at_most(export, since=since, until=until)),
    }
    lines: Iterator[str] = write_csv(export, since=since, until=until)
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime(day.year, day.month, day.day))  # noqa: DTZ001 - made aware
