"""What staff decide about refunds."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from payments.desk.forms import courses_field, offer_lines, with_why
from payments.domain.refunds import deciding, explaining
from payments.domain.upkeep import repair
from payments.gateways import find_gateways, get_gateways
from payments.models import Refund
from payments.states import RefundKind, RefundStatus
from payments.tasks import send_refunds
from shop.desk.deeds import Act, Deed, DeedForm, WhyForm, text_field, why_field
from shop.desk.display import beili, yuan
from shop.models import OrderLine


class RejectForm(DeedForm):
    why = why_field(_("请填写拒绝理由。"))


class PaidElsewhereForm(DeedForm):
    number = text_field(
        _("凭据号，或渠道侧退款的请求号"), _("请选择一笔退款，并填写凭据号。"), max_length=100
    )


class GoodwillForm(DeedForm):
    why = why_field(_("请选择一笔退款，并填写理由。"))


class CoursesForm(DeedForm):
    courses = courses_field()
    why = why_field(_("请选择一笔退款，并填写理由。"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(self.rows) == 1:
            offer_lines(
                self.fields["courses"],
                list(OrderLine.objects.filter(order=self.rows[0].order_id).order_by("id")),
            )


def _refund_facts(refund: Refund) -> Sequence[tuple[str, Any]]:
    payment = refund.payment
    left = payment.amount - payment.refunded_amount if payment is not None else Decimal(0)
    return [
        (gettext("退款金额"), yuan(refund.amount)),
        (gettext("退回贝里"), beili(refund.beili)),
        (gettext("类型"), refund.get_kind_display()),
        (gettext("状态"), refund.get_status_display()),
        (gettext("这笔支付还剩"), yuan(left) if payment is not None else "–"),
        (pgettext("one", "订单"), refund.order),
        (
            gettext("申请人"),
            refund.requested_by.get_username() if refund.requested_by else gettext("买家或系统"),
        ),
        (gettext("原因"), refund.reason or "–"),
        (gettext("处理说明"), refund.outcome or "–"),
    ]


def _is_waiting(refund: Refund) -> bool:
    return refund.status == RefundStatus.REQUESTED and refund.approved_at is None


def _is_open(refund: Refund) -> bool:
    return _is_waiting(refund) or refund.status == RefundStatus.FAILED


def _is_to_explain(refund: Refund) -> bool:
    return (
        refund.kind == RefundKind.EXTERNAL
        and refund.status == RefundStatus.SUCCEEDED
        and not refund.explanation
    )


def _is_reported(refund: Refund) -> bool:
    return refund.kind == RefundKind.EXTERNAL and refund.status == RefundStatus.REPORTED


def _approve(refund: Refund, act: Act) -> object:
    return deciding.approve_refund(refund.pk, staff=act.staff, now=act.now, cause=act.cause)


def _reject(refund: Refund, act: Act) -> object:
    gateways = find_gateways()
    return deciding.reject_refund(
        refund.pk, gateways=gateways, staff=act.staff, why=act.why, now=act.now, cause=act.cause
    )


def _pay_elsewhere(refund: Refund, act: Act) -> object:
    reference, gateways = act.data["number"], find_gateways()
    return deciding.mark_refund_paid_elsewhere(
        refund.pk, gateways=gateways, reference=reference, staff=act.staff, now=act.now, cause=act.cause
    )


def _explain_by_courses(refund: Refund, act: Act) -> object:
    course_ids = {int(number) for number in act.data["courses"]}
    return explaining.explain_external_refund(
        refund.pk, course_ids=course_ids, staff=act.staff, why=act.why, now=act.now, cause=act.cause
    )


def _explain_as_goodwill(refund: Refund, act: Act) -> object:
    return explaining.explain_external_refund(
        refund.pk, course_ids=None, staff=act.staff, why=act.why, now=act.now, cause=act.cause
    )


def _dismiss_external(refund: Refund, act: Act) -> object:
    gateways = get_gateways()
    return explaining.dismiss_external_refund(
        refund.pk, gateways=gateways, staff=act.staff, why=act.why, now=act.now, cause=act.cause
    )


def _pick_up_refund(refund: Refund, act: Act) -> object:
    return repair.pick_up_refund(refund.pk, staff=act.staff, why=act.why, now=act.now, cause=act.cause)


REFUND_DEEDS = (
    Deed(
        "approve",
        _("批准所选退款（失败的会再次提交）"),
        "payments.change_refund",
        _approve,
        log_text=lambda data: "批准退款",
        applies=_is_open,
        facts=_refund_facts,
        is_destructive=True,
        wakes=send_refunds,
    ),
    Deed(
        "reject",
        _("拒绝或放弃所选退款"),
        "payments.change_refund",
        _reject,
        RejectForm,
        log_text=with_why("拒绝退款"),
        applies=_is_open,
        facts=_refund_facts,
        hint=_("买家会看到理由。失败的退款会先向支付宝核实：如果钱其实已经退回，会改为记账。"),
    ),
    Deed(
        "pay_elsewhere",
        _("已通过其他方式退款"),
        "payments.change_refund",
        _pay_elsewhere,
        PaidElsewhereForm,
        log_text=lambda data: f"已另行退款：{data['number']}",
        applies=_is_open,
        facts=_refund_facts,
        hint=_("已经用转账等方式退给买家，或在支付宝商家后台退过。填写渠道侧退款的请求号会与那一笔对上。"),
        is_destructive=True,
        is_single=True,
        wakes=send_refunds,
    ),
    Deed(
        "explain_by_courses",
        _("渠道侧退款：用于所选课程"),
        "payments.change_refund",
        _explain_by_courses,
        CoursesForm,
        log_text=lambda data: f"渠道侧退款说明（课程 {'、'.join(data['courses'])}）：{data['why']}",
        applies=_is_to_explain,
        facts=_refund_facts,
        hint=_("所选课程会收回，贝里退回；超出课程价款的部分记为善意补偿。"),
        is_destructive=True,
        is_single=True,
        wakes=send_refunds,
    ),
    Deed(
        "explain_as_goodwill",
        _("渠道侧退款：善意补偿，课程保留"),
        "payments.change_refund",
        _explain_as_goodwill,
        GoodwillForm,
        log_text=with_why("渠道侧退款说明（善意补偿）"),
        applies=_is_to_explain,
        facts=_refund_facts,
        is_single=True,
        wakes=send_refunds,
    ),
    Deed(
        "dismiss_external",
        _("渠道侧退款：未发生，不予登记"),
        "payments.change_refund",
        _dismiss_external,
        WhyForm,
        log_text=with_why("渠道侧退款未发生"),
        applies=_is_reported,
        facts=_refund_facts,
        hint=_("会再向支付宝核实一次：查得到的会改为记账。"),
    ),
    Deed(
        "pick_up",
        _("重新核实"),
        "shop.pick_up_work",
        _pick_up_refund,
        WhyForm,
        log_text=with_why("重新核实渠道侧退款"),
        applies=lambda refund: _is_reported(refund) and refund.dead_at is not None,
        facts=_refund_facts,
        wakes=send_refunds,
    ),
)
