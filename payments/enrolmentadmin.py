"""Enrolments in the admin, with the deeds that extend or revoke them."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from payments.desk.accessdeeds import grant_days, not_oneself
from payments.desk.accountforms import DaysForm
from payments.domain.refunds import revoking
from shop.clock import now as read_clock
from shop.desk.columns import BuyerColumn
from shop.desk.deeds import Act, Deed, DeedsAdmin, WhyForm
from shop.desk.display import moment
from shop.desk.filters import SinceFilter
from shop.models import Enrolment
from shop.states import EnrolmentStatus


def _revoke(enrolment: Enrolment, act: Act) -> object:
    return revoking.revoke_access(enrolment.pk, staff=act.staff, why=act.why, now=act.now, cause=act.cause)


def _extend(enrolment: Enrolment, act: Act) -> object:
    not_oneself(enrolment.account, act)
    return grant_days(enrolment.account_id, enrolment.course_id, act)


def _enrolment_facts(enrolment: Enrolment) -> Sequence[tuple[str, Any]]:
    return [
        (pgettext("one", "买家"), enrolment.account),
        (pgettext("one", "课程"), enrolment.course),
        (gettext("状态"), enrolment.get_status_display()),
        (gettext("从"), moment(enrolment.valid_from)),
        (gettext("到"), moment(enrolment.valid_until)),
    ]


def _is_running(enrolment: Enrolment) -> bool:
    return enrolment.status == EnrolmentStatus.ACTIVE and enrolment.valid_until > read_clock()


@admin.register(Enrolment)
class EnrolmentAdmin(BuyerColumn, DeedsAdmin):
    whole_table = ("q", "day")
    list_display = ("shown_status", "buyer", "course", "valid_from", "valid_until", "revoked_at")
    list_display_links = ("course",)
    list_filter = ("status", ("created_at", SinceFilter), "course")
    list_select_related = ("account", "course")
    search_fields = ("=account__username",)
    counted = _("段课程")
    deeds = (
        Deed(
            "extend",
            _("延长"),
            "shop.grant_access",
            _extend,
            DaysForm,
            log_text=lambda data: f"延长 {data['days']} 天：{data['why']}",
            facts=_enrolment_facts,
            hint=_("生成一个 ¥0 的订单；从这门课程现有期限的末尾延长，没有期限时从现在开始。"),
            is_listed=False,
        ),
        Deed(
            "revoke",
            _("收回"),
            "shop.revoke_access",
            _revoke,
            WhyForm,
            log_text=lambda data: f"收回课程：{data['why']}",
            applies=_is_running,
            facts=_enrolment_facts,
            hint=_("不退款。要退款请在订单页申请退款，课程会随退款收回。"),
            is_destructive=True,
            is_listed=False,
        ),
    )

    @display(
        description=_("状态"),
        ordering="status",
        label={EnrolmentStatus.ACTIVE: "success", EnrolmentStatus.REVOKED: "warning"},
    )
    def shown_status(self, row: Enrolment) -> tuple[str, str]:
        return row.status, row.get_status_display()
