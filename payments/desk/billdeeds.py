"""What staff decide about bills and their differences from the books."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from payments.desk.forms import with_why
from payments.domain.bills import explaining
from payments.models import Bill, BillDifference
from payments.states import DifferenceStatus
from payments.tasks import compare_bills
from shop.desk.deeds import Act, Deed, DeedForm, WhyForm, why_field
from shop.desk.display import moment, yuan


class ExplainForm(DeedForm):
    why = why_field(_("请选择一项差异，并填写说明。"))
    reference = forms.CharField(
        label=_("凭据"),
        max_length=100,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text=_("工单号、流水号或邮件标题，供日后核查。"),
    )


def _difference_facts(difference: BillDifference) -> Sequence[tuple[str, Any]]:
    return [
        (gettext("账单金额"), yuan(difference.told_amount)),
        (gettext("本店金额"), yuan(difference.our_amount)),
        (gettext("差异"), difference.get_kind_display()),
        (gettext("业务类型"), difference.get_subject_display()),
        (gettext("账单日"), difference.bill.day),
        (gettext("商户订单号"), difference.out_trade_no or "–"),
        (gettext("退款请求号"), difference.out_request_no or "–"),
        (gettext("支付宝交易号"), difference.trade_no or "–"),
        (pgettext("one", "订单"), difference.order or gettext("没有对应的支付")),
        (gettext("最近查询时间"), moment(difference.asked_at)),
    ]


def _bill_facts(bill: Bill) -> Sequence[tuple[str, Any]]:
    return [
        (gettext("账单日"), bill.day),
        (gettext("应用"), bill.app_id),
        (gettext("尝试次数"), bill.attempts),
        (gettext("最近错误"), bill.last_error or "–"),
    ]


def _explain(difference: BillDifference, act: Act) -> object:
    return explaining.explain_difference(
        difference.pk,
        staff=act.staff,
        why=act.why,
        reference=act.data["reference"],
        now=act.now,
        cause=act.cause,
    )


def _pick_up_bill(bill: Bill, act: Act) -> object:
    return explaining.pick_up_bill(bill.pk, now=act.now)


DIFFERENCE_DEEDS = (
    Deed(
        "explain",
        _("说明所选差异"),
        "payments.change_billdifference",
        _explain,
        ExplainForm,
        log_text=with_why("说明对账差异"),
        applies=lambda difference: difference.status == DifferenceStatus.OPEN,
        facts=_difference_facts,
        hint=_("只记录原因，不会改动任何款项。需要退款或入账的，请在订单、支付或退款上操作。"),
    ),
)
BILL_DEEDS = (
    Deed(
        "pick_up",
        _("重新下载并核对"),
        "shop.pick_up_work",
        _pick_up_bill,
        WhyForm,
        log_text=with_why("重新下载对账单"),
        applies=lambda bill: bill.dead_at is not None,
        facts=_bill_facts,
        hint=_("多次下载都没有成功，已被放弃。重新处理会立即再试。"),
        wakes=compare_bills,
    ),
)
