"""django-unfold's settings: names, colours, and a menu by what people do.

An entry is shown only to users with its permission.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


def _may(*permissions: str) -> Callable[[HttpRequest], bool]:
    return lambda request: any(request.user.has_perm(permission) for permission in permissions)


def _list(title: Any, icon: str, table: str, *, query: str = "") -> dict[str, Any]:
    """A menu entry for a table's list, shown to users who may view the table."""
    app, model = table.split(".")
    link = reverse_lazy(f"admin:{app}_{model}_changelist")
    return {
        "title": title,
        "icon": icon,
        "link": f"{link}{query}" if query else link,
        "permission": _may(f"{app}.view_{model}"),
    }


def _styles(request: HttpRequest) -> str:
    return static("desk/desk.css")


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": _("课程商店运营后台"),
    "SITE_HEADER": _("课程商店"),
    "SITE_SUBHEADER": _("运营后台"),
    "SITE_SYMBOL": "storefront",
    "SITE_URL": "/",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "LANGUAGES": {"action": reverse_lazy("set-language")},
    "STYLES": [_styles],
    # Calm colours: grey and one blue. Every combination of text and background in use has a contrast ratio of
    # at least 4.5.
    "COLORS": {
        "primary": {
            "50": "oklch(97% .014 254.6)",
            "100": "oklch(93.2% .032 255.6)",
            "200": "oklch(88.2% .059 254.1)",
            "300": "oklch(80.9% .105 251.8)",
            "400": "oklch(70.7% .165 254.6)",
            "500": "oklch(62.3% .214 259.8)",
            "600": "oklch(48.8% .243 264.4)",
            "700": "oklch(42.4% .199 265.6)",
            "800": "oklch(37.9% .146 265.5)",
            "900": "oklch(34% .115 266)",
            "950": "oklch(28.2% .091 267.9)",
        },
        "font": {
            "subtle-light": "var(--color-base-600)",
            "subtle-dark": "var(--color-base-300)",
            "default-light": "var(--color-base-700)",
            "default-dark": "var(--color-base-200)",
            "important-light": "var(--color-base-900)",
            "important-dark": "var(--color-base-100)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    {"title": _("总览"), "icon": "home", "link": reverse_lazy("admin:index")},
                    {
                        "title": _("查找"),
                        "icon": "search",
                        "link": reverse_lazy("admin:search"),
                        "permission": _may("shop.view_order"),
                    },
                ]
            },
            {
                "title": _("交易"),
                "items": [
                    _list(pgettext_lazy("many", "订单"), "receipt_long", "shop.order"),
                    _list(pgettext_lazy("many", "支付"), "payments", "payments.payment"),
                    _list(pgettext_lazy("many", "退款"), "undo", "payments.refund"),
                    _list(pgettext_lazy("many", "支付通知"), "notifications", "payments.notification"),
                    _list(pgettext_lazy("many", "对账差异"), "difference", "payments.billdifference"),
                    _list(pgettext_lazy("many", "对账单"), "request_quote", "payments.bill"),
                    _list(pgettext_lazy("many", "下单请求"), "pending_actions", "shop.orderrequest"),
                    _list(pgettext_lazy("many", "账目"), "menu_book", "shop.ledgertransfer"),
                ],
            },
            {
                "title": pgettext_lazy("many", "买家"),
                "items": [
                    _list(pgettext_lazy("many", "账户"), "group", "shop.account"),
                    _list(pgettext_lazy("many", "已购课程"), "school", "shop.enrolment"),
                    _list(pgettext_lazy("many", "优惠券"), "confirmation_number", "shop.couponrecord"),
                ],
            },
            {
                "title": _("商品与活动"),
                "items": [
                    _list(pgettext_lazy("many", "课程"), "menu_book", "shop.course"),
                    _list(pgettext_lazy("many", "优惠券活动"), "local_offer", "shop.coupon"),
                    _list(pgettext_lazy("many", "兑换码"), "password", "shop.couponcode"),
                ],
            },
            {
                "title": _("管理"),
                "items": [
                    {
                        "title": _("导出"),
                        "icon": "download",
                        "link": reverse_lazy("admin:exports"),
                        "permission": _may("payments.export_books"),
                    },
                    {
                        "title": _("操作记录"),
                        "icon": "history",
                        "link": reverse_lazy("admin:admin_logentry_changelist"),
                        "permission": _may("admin.view_logentry"),
                    },
                    {
                        "title": _("角色"),
                        "icon": "shield_person",
                        "link": reverse_lazy("admin:auth_group_changelist"),
                        "permission": lambda request: request.user.is_superuser,
                    },
                ],
            },
        ],
    },
}
