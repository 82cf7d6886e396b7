"""Buyers in the admin: who they are, what they own, and what staff can do for them."""

import secrets
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from payments.desk.buyerpage import read_buyer_page
from payments.domain.refunds import revoking
from payments.domain.upkeep.personal_data import anonymise_account
from shop.accountadmin import AccountAdmin
from shop.clock import now as read_clock
from shop.desk.columns import BuyerColumn
from shop.desk.deeds import Act, Deed, DeedForm, DeedsAdmin, WhyForm, WithDeeds, why_field
from shop.desk.display import beili, moment
from shop.desk.filters import SinceFilter
from shop.domain import ledger
from shop.domain.accounts import tokens
from shop.domain.coupons import coupons
from shop.domain.enrolments import MAX_ACCESS_DAYS
from shop.domain.orders import granting
from shop.errors import CouponNotFound, PermissionRefused
from shop.models import Account, Coupon, Course, Enrolment
from shop.states import EnrolmentStatus
from shop.texts import describe_coupon

MAX_BEILI = 10_000_000


class OnceForm(DeedForm):
    """A form whose deed is done once, even if it is submitted twice."""

    token = forms.CharField(max_length=32, widget=forms.HiddenInput(), initial=lambda: secrets.token_hex(8))


class BeiliForm(OnceForm):
    amount = forms.IntegerField(
        label=_("贝里数量"),
        min_value=-MAX_BEILI,
        max_value=MAX_BEILI,
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text=_("正数为发放，负数为扣除，例如 100 或 -100。"),
    )
    why = why_field()

    def clean_amount(self) -> int:
        amount: int = self.cleaned_data["amount"]
        if amount == 0:
            raise forms.ValidationError(gettext("请填写不为 0 的数量。"))
        return amount


class CouponChoice(forms.ModelChoiceField):  # type: ignore[type-arg] # takes no parameter at run time
    def label_from_instance(self, obj: Any) -> str:
        told = {
            "name": obj.name,
            "terms": describe_coupon(coupons.terms_of(obj), translate=gettext),
            "count": obj.quantity - obj.claimed_count,
        }
        return gettext("%(name)s：%(terms)s（还剩 %(count)s 张）") % told


class GiveForm(DeedForm):
    coupon = CouponChoice(
        label=pgettext_lazy("one", "优惠券活动"),
        queryset=Coupon.objects.none(),
        widget=UnfoldAdminSelectWidget(),
    )
    why = why_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: Any = self.fields["coupon"]
        # Only the newest campaigns, so that the list stays short.
        newest = list(Coupon.objects.order_by("-id").values_list("pk", flat=True)[:200])
        choice.queryset = Coupon.objects.filter(pk__in=newest).order_by("-id")


class DaysForm(OnceForm):
    days = forms.IntegerField(
        label=_("天数"), min_value=1, max_value=MAX_ACCESS_DAYS, widget=UnfoldAdminIntegerFieldWidget()
    )
    why = why_field()


class GrantForm(DaysForm):
    course = forms.ModelChoiceField(
        label=pgettext_lazy("one", "课程"),
        queryset=Course.objects.order_by("position", "id"),
        widget=UnfoldAdminSelectWidget(),
    )
    field_order = ("course", "days", "why")


class AnonymiseForm(DeedForm):
    """Asks for confirmation only."""


def _facts(account: Account) -> Sequence[tuple[str, Any]]:
    return [
        (pgettext("one", "账户"), account.get_username()),
        (gettext("可用贝里"), beili(account.balance)),
        (gettext("锁定贝里"), beili(account.held_balance)),
        (gettext("邮箱"), account.email or "–"),
        (gettext("手机"), account.phone or "–"),
        (gettext("状态"), gettext("有效") if account.is_active else gettext("停用")),
    ]


def _not_oneself(account: Account, act: Act) -> None:
    if account.pk == act.staff.pk:
        raise PermissionRefused(gettext("不能给自己的账户发放或开通。"))


def _adjust(account: Account, act: Act) -> object:
    _not_oneself(account, act)
    amount, token = act.data["amount"], act.data["token"]
    return ledger.adjust_beili(
        account_id=account.pk, amount=amount, token=token, staff=act.staff, why=act.why, now=act.now
    )


def _give(account: Account, act: Act) -> object:
    _not_oneself(account, act)
    coupon = act.data["coupon"]
    if coupon is None:
        raise CouponNotFound
    return coupons.issue_coupon(coupon, account, now=act.now, is_given=True)


def _grant(account: Account, act: Act) -> object:
    _not_oneself(account, act)
    return _grant_days(account.pk, act.data["course"].pk, act)


def _grant_days(account_id: int, course_id: int, act: Act) -> object:
    return granting.grant_access(
        account_id=account_id,
        course_id=course_id,
        days=act.data["days"],
        token=act.data["token"],
        staff=act.staff,
        why=act.why,
        now=act.now,
        cause=act.cause,
    )


def _end_logins(account: Account, act: Act) -> object:
    """Ends a buyer's logins; those of staff can be ended by superusers only."""
    if (account.is_staff or account.is_superuser) and not act.staff.is_superuser:
        raise PermissionRefused
    return tokens.end_logins([account.pk])


def _anonymise(account: Account, act: Act) -> object:
    return anonymise_account(account.pk, now=act.now)


def _is_buyer(account: Account) -> bool:
    return not account.is_staff


ACCOUNT_DEEDS = (
    Deed(
        "adjust_beili",
        _("发放或扣除贝里"),
        "shop.adjust_beili",
        _adjust,
        BeiliForm,
        log_text=lambda data: (
            f"{'发放' if data['amount'] > 0 else '扣除'} {abs(data['amount'])} 贝里：{data['why']}"
        ),
        facts=_facts,
        hint=_("记入账目，买家能在余额记录里看到数量和理由。"),
        is_listed=False,
    ),
    Deed(
        "give_coupon",
        _("发优惠券"),
        "shop.give_coupon",
        _give,
        GiveForm,
        log_text=lambda data: f"发放优惠券「{data['coupon']}」：{data['why']}",
        facts=_facts,
        hint=_("不受领取时间限制；每位买家每个活动一张，数量以活动为限。"),
        is_listed=False,
    ),
    Deed(
        "grant_access",
        _("开通或延长课程"),
        "shop.grant_access",
        _grant,
        GrantForm,
        log_text=lambda data: f"开通「{data['course']}」{data['days']} 天：{data['why']}",
        facts=_facts,
        hint=_("生成一个 ¥0 的订单。已经有这门课程时，从现有期限的末尾延长。"),
        is_listed=False,
    ),
    Deed(
        "end_logins",
        _("结束所有登录"),
        "shop.end_logins",
        _end_logins,
        log_text=lambda data: "结束所有登录",
        facts=_facts,
        hint=_("所有设备上的登录立即失效，密码不变。"),
        success_text=lambda account, count: (
            gettext("已结束 %(account)s 的 %(count)s 个登录。") % {"account": account, "count": count}
        ),
    ),
    Deed(
        "anonymise",
        _("抹除个人信息（不可恢复）"),
        "shop.anonymise_account",
        _anonymise,
        AnonymiseForm,
        log_text=lambda data: "抹除个人信息",
        applies=_is_buyer,
        facts=_facts,
        hint=_(
            "姓名、邮箱、手机、退款说明和支付宝账号将被抹除，所有登录立即结束，账户停用。订单、账目和课程记录保留。此操作不可恢复。"
        ),
        is_destructive=True,
        always_confirms=True,
        success_text=lambda account, erased: gettext("已抹除：%(erased)s。") % {"erased": erased},
    ),
)

admin.site.unregister(Account)


@admin.register(Account)
class BuyerAdmin(WithDeeds, AccountAdmin):
    deeds = ACCOUNT_DEEDS
    counted = _("个账户")
    change_form_outer_before_template = "desk/buyer.html"
    change_form_before_template = None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        account = self.get_object(request, object_id) if object_id.isdecimal() else None
        enrolments: Any = self.admin_site._registry[Enrolment]

        def offers(row: Any) -> list[tuple[Deed, str]]:
            return [
                (deed, f"{url}?next={request.path}") for deed, url in enrolments.offered_deeds(request, row)
            ]

        may_look = account is not None and request.user.has_perm("shop.view_order")
        page = read_buyer_page(account, offers) if account is not None and may_look else None
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "page": page})


def _revoke(enrolment: Enrolment, act: Act) -> object:
    return revoking.revoke_access(enrolment.pk, staff=act.staff, why=act.why, now=act.now, cause=act.cause)


def _extend(enrolment: Enrolment, act: Act) -> object:
    _not_oneself(enrolment.account, act)
    return _grant_days(enrolment.account_id, enrolment.course_id, act)


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
