"""What staff decide about payments and notifications."""

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from payments.desk.forms import OptionalWhyForm, with_why
from payments.domain.refunds import concluding, explaining, surplus
from payments.domain.trades import inbox, polling
from payments.domain.upkeep import repair
from payments.models import Notification, Payment
from payments.states import NotificationStatus
from payments.tasks import apply_notifications, query_payments, send_refunds
from shop.desk.deeds import Act, Deed, DeedForm, WhyForm, text_field
from shop.desk.display import moment, yuan


class ExternalNumberForm(DeedForm):
    number = text_field(
        _("退款请求号"), _("请选择一笔支付，并填写退款请求号。"), help_text=_("支付宝商家后台的退款请求号。")
    )


def _payment_facts(payment: Payment) -> Sequence[tuple[str, Any]]:
    return [
        (gettext("金额"), yuan(payment.amount)),
        (gettext("状态"), payment.get_status_display()),
        (gettext("已退"), yuan(payment.refunded_amount)),
        (gettext("渠道告知已退"), yuan(payment.refund_told)),
        (gettext("支付宝交易号"), payment.trade_no or "–"),
        (gettext("下次查询"), moment(payment.available_at)),
        (gettext("最近错误"), payment.last_error or "–"),
    ]


def _notification_facts(row: Notification) -> Sequence[tuple[str, Any]]:
    return [
        (gettext("通知金额"), yuan(row.told_amount)),
        (gettext("应收金额"), yuan(row.payment.amount) if row.payment else "–"),
        (gettext("状态"), row.get_status_display()),
        (gettext("隔离原因"), row.get_reason_display() or "–"),
        (gettext("商户订单号"), row.out_trade_no),
        (pgettext("one", "订单"), row.payment.order if row.payment else gettext("没有对应的支付")),
    ]


def _ask(payment: Payment, act: Act) -> None:
    polling.ask_about_payment(payment.pk, now=act.now, staff=act.staff, why=act.why, cause=act.cause)


def _pick_up_payment(payment: Payment, act: Act) -> object:
    return repair.pick_up_payment(payment.pk, staff=act.staff, why=act.why, now=act.now, cause=act.cause)


def _report_external(payment: Payment, act: Act) -> object:
    return explaining.report_external_refund(
        payment.pk, number=act.data["number"], staff=act.staff, now=act.now
    )


def _refund_surplus(payment: Payment, act: Act) -> object:
    return surplus.request_surplus_refund(payment.pk, now=act.now, cause=act.cause)


def _reapply(row: Notification, act: Act) -> object:
    return inbox.reapply_notification(row.pk, now=act.now, staff=act.staff, why=act.why, cause=act.cause)


def _dismiss(row: Notification, act: Act) -> object:
    return inbox.dismiss_notification(row.pk, staff=act.staff, why=act.why, now=act.now, cause=act.cause)


PAYMENT_DEEDS = (
    Deed(
        "ask_gateway",
        _("立即向支付渠道查询"),
        "payments.change_payment",
        _ask,
        OptionalWhyForm,
        log_text=with_why("查询支付渠道"),
        facts=_payment_facts,
        hint=_("由后台任务查询并处理结果，几秒后刷新即可看到。"),
        wakes=query_payments,
    ),
    Deed(
        "pick_up",
        _("重新处理"),
        "shop.pick_up_work",
        _pick_up_payment,
        WhyForm,
        log_text=with_why("重新处理"),
        applies=lambda payment: (
            payment.dead_at is not None and not payment.last_error.startswith(concluding.DIFFERENCE)
        ),
        facts=_payment_facts,
        hint=_("这笔支付多次查询都没有结果，已被放弃。重新处理会立即再查。"),
        wakes=query_payments,
    ),
    Deed(
        "report_external_refund",
        _("登记在支付渠道侧完成的退款"),
        "payments.change_payment",
        _report_external,
        ExternalNumberForm,
        log_text=lambda data: f"登记渠道侧退款 {data['number']}",
        applies=lambda payment: payment.paid_at is not None,
        facts=_payment_facts,
        hint=_("登记后会向支付宝核实，核实无误才记账。"),
        is_single=True,
        wakes=send_refunds,
    ),
    Deed(
        "refund_surplus",
        _("再次退回多付款项"),
        "payments.change_payment",
        _refund_surplus,
        applies=lambda payment: payment.is_surplus,
        facts=_payment_facts,
        is_destructive=True,
        wakes=send_refunds,
    ),
)
NOTIFICATION_DEEDS = (
    Deed(
        "reapply",
        _("重新处理（待人工处理的通知）"),
        "payments.change_notification",
        _reapply,
        OptionalWhyForm,
        log_text=with_why("重新处理"),
        applies=lambda row: row.status == NotificationStatus.QUARANTINED,
        facts=_notification_facts,
        hint=_("原因已经排除时使用：会重新验签并按现在的订单处理。"),
        wakes=apply_notifications,
    ),
    Deed(
        "dismiss",
        _("确认无需处理"),
        "payments.change_notification",
        _dismiss,
        WhyForm,
        log_text=with_why("确认通知无需处理"),
        applies=lambda row: row.status == NotificationStatus.QUARANTINED,
        facts=_notification_facts,
        hint=_("只有它所指的支付已经结清、没有待查询和待说明的款项时才能确认。"),
    ),
)
