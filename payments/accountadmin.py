"""Buyers in the admin: who they are, what they own, and what staff can do for them."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from payments.desk.accessdeeds import grant_days, not_oneself
from payments.desk.accountforms import AnonymiseForm, BeiliForm, GiveForm, GrantForm
from payments.desk.buyerpage import read_buyer_page
from payments.domain.upkeep.personal_data import anonymise_account
from shop.accountadmin import AccountAdmin
from shop.desk.deeds import Act, Deed, WithDeeds
from shop.desk.display import beili
from shop.domain import ledger
from shop.domain.accounts import tokens
from shop.domain.coupons import coupons
from shop.errors import CouponNotFound, PermissionRefused
from shop.models import Account, Enrolment


def _facts(account: Account) -> Sequence[tuple[str, Any]]:
    return [
        (pgettext("one", "账户"), account.get_username()),
        (gettext("可用贝里"), beili(account.balance)),
        (gettext("锁定贝里"), beili(account.held_balance)),
        (gettext("邮箱"), account.email or "–"),
        (gettext("手机"), account.phone or "–"),
        (gettext("状态"), gettext("有效") if account.is_active else gettext("停用")),
    ]


def _adjust(account: Account, act: Act) -> object:
    not_oneself(account, act)
    amount, token = act.data["amount"], act.data["token"]
    return ledger.adjust_beili(
        account_id=account.pk, amount=amount, token=token, staff=act.staff, why=act.why, now=act.now
    )


def _give(account: Account, act: Act) -> object:
    not_oneself(account, act)
    coupon = act.data["coupon"]
    if coupon is None:
        raise CouponNotFound
    return coupons.issue_coupon(coupon, account, now=act.now, is_given=True)


def _grant(account: Account, act: Act) -> object:
    not_oneself(account, act)
    return grant_days(account.pk, act.data["course"].pk, act)


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
