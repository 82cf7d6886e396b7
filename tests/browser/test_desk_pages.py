"""Every page of the desk on a computer and on a phone: nothing overflows, and axe finds no serious
violations.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from project.local.waiting import wait_until
from tests.browser import axe
from tests.browser.operator import Operator
from tests.browser.shopper import DESKTOP, ENGLISH_DESKTOP, ENGLISH_PHONE, PHONE, Device
from tests.journeys.shopping import Buyer, control, make_bill_due
from tests.nodes.shop_stack import ShopStack
from tests.variants import first_of

LISTS = (
    "shop/order", "payments/payment", "payments/refund", "payments/notification", "shop/orderrequest",
    "shop/ledgertransfer", "shop/account",
    "payments/bill", "payments/billdifference",
    "shop/enrolment", "shop/couponrecord", "shop/course", "shop/coupon", "shop/couponcode", "admin/logentry",
)  # fmt: skip


@pytest.fixture(params=first_of(DESKTOP, PHONE), ids=lambda device: device.name)
def operator(browser: Browser, shop: ShopStack, request: pytest.FixtureRequest) -> Iterator[Operator]:
    device: Device = request.param
    with Operator.at_desk(browser, shop, device) as someone:
        yield someone
        assert someone.errors == []


@pytest.fixture(params=first_of(ENGLISH_PHONE, ENGLISH_DESKTOP), ids=lambda device: device.name)
def english_operator(browser: Browser, shop: ShopStack, request: pytest.FixtureRequest) -> Iterator[Operator]:
    with Operator.at_desk(browser, shop, request.param) as someone:
        yield someone
        assert someone.errors == []


def is_wide(operator: Operator) -> bool:
    size = operator.page.viewport_size
    return size is not None and size["width"] > 1000


def look(operator: Operator, path: str, name: str, *, is_dark_too: bool = False, **options: Any) -> list[str]:
    """The page's violations, and elements that are wider than the window."""
    operator.go(path)  # the server renders the whole page: nothing is fetched after it has loaded
    operator.picture(name)
    found = axe.findings(operator.page, **options)
    wide = operator.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if wide > 0:
        found.append(f"{path} is {wide} px too wide")
    if is_dark_too:
        operator.page.evaluate("document.documentElement.classList.add('dark')")
        found += axe.findings(operator.page, scheme="dark", **axe.COLOURS)
    return found


def find_difference(shop: ShopStack, out_trade_no: str) -> int:
    """Today's bill has another amount for the trade; answers the difference that the shop finds."""
    find = "SELECT id FROM payments_billdifference WHERE out_trade_no = %s AND kind = 'other_amount'"
    control(shop, "POST", "faults", {"kind": "bill_amount", "times": None, "out_trade_no": out_trade_no})
    make_bill_due(shop)
    assert wait_until(lambda: bool(shop.rows(find, out_trade_no)), timeout_s=60)
    return int(shop.value(find, out_trade_no))


@pytest.mark.timeout(300)
def test_pages_are_accessible_and_fit(operator: Operator, buyer: Buyer, shop: ShopStack) -> None:
    order_number, out_trade_no = buyer.buy_paid()
    buyer.api.post(f"orders/{order_number}/refunds/", {"reason": "买错了"})
    control(
        shop,
        "POST",
        "notifications/craft",
        {"out_trade_no": out_trade_no, "fields": {"total_amount": "0.01"}},
    )
    order = shop.value("SELECT id FROM shop_order WHERE order_number = %s", order_number)
    ids: dict[str, Any] = {
        "difference": find_difference(shop, out_trade_no),
        "payment": shop.value("SELECT id FROM payments_payment WHERE out_trade_no = %s", out_trade_no),
        "refund": shop.value("SELECT id FROM payments_refund WHERE order_id = %s", order),
        "notification": shop.value(
            "SELECT max(id) FROM payments_notification WHERE out_trade_no = %s", out_trade_no
        ),
        "coupon": shop.value("SELECT min(id) FROM shop_coupon"),
        "course": shop.value("SELECT min(id) FROM shop_course"),
    }
    pages = {
        "dashboard": "/admin/",
        "order": f"/admin/shop/order/{order}/change/",
        "order-refund": f"/admin/shop/order/{order}/deeds/refund/",
        "buyer": f"/admin/shop/account/{buyer.account_id}/change/",
        "buyer-beili": f"/admin/shop/account/{buyer.account_id}/deeds/adjust_beili/",
        "payment": f"/admin/payments/payment/{ids['payment']}/change/",
        "refund": f"/admin/payments/refund/{ids['refund']}/change/",
        "refund-approve": f"/admin/payments/refund/{ids['refund']}/deeds/approve/",
        "notification": f"/admin/payments/notification/{ids['notification']}/change/",
        "difference": f"/admin/payments/billdifference/{ids['difference']}/change/",
        "difference-explain": f"/admin/payments/billdifference/{ids['difference']}/deeds/explain/",
        "campaign": f"/admin/shop/coupon/{ids['coupon']}/change/",
        "campaign-codes": f"/admin/shop/coupon/{ids['coupon']}/deeds/codes/",
        "course": f"/admin/shop/course/{ids['course']}/change/",
        "search": "/admin/search/?q=buyer",
        "exports": "/admin/exports/",
        **{f"list-{one.replace('/', '-')}": f"/admin/{one}/" for one in LISTS},
    }
    # Colours are the same at any width and in any language.
    is_dark_too = is_wide(operator)
    found = [
        wrong for name, path in pages.items() for wrong in look(operator, path, name, is_dark_too=is_dark_too)
    ]
    assert "\n".join(found) == ""


@pytest.mark.timeout(300)
def test_pages_are_accessible_and_fit_in_english(
    english_operator: Operator, buyer: Buyer, shop: ShopStack
) -> None:
    """English words are longer. The main pages, and a list with its filters."""
    operator = english_operator
    order_number, _ = buyer.buy_paid()
    buyer.api.post(f"orders/{order_number}/refunds/", {"reason": "wrong course"})
    order = shop.value("SELECT id FROM shop_order WHERE order_number = %s", order_number)
    pages = {
        "en-dashboard": "/admin/",
        "en-order": f"/admin/shop/order/{order}/change/",
        "en-order-refund": f"/admin/shop/order/{order}/deeds/refund/",
        "en-buyer": f"/admin/shop/account/{buyer.account_id}/change/",
        "en-list-order": "/admin/shop/order/",
        "en-list-refund": "/admin/payments/refund/",
        "en-list-difference": "/admin/payments/billdifference/",
        "en-campaign": f"/admin/shop/coupon/{shop.value('SELECT min(id) FROM shop_coupon')}/change/",
        "en-exports": "/admin/exports/",
    }
    found = [wrong for name, path in pages.items() for wrong in look(operator, path, name, **axe.BUT_COLOURS)]
    assert "\n".join(found) == ""
    assert operator.page.locator("html").get_attribute("lang") == "en"


def test_operator_changes_the_language(operator: Operator) -> None:
    """In the menu below their name."""
    operator.go("/admin/shop/order/")
    if not is_wide(operator):
        operator.page.locator("[x-on\\:click*=sidebarMobileOpen]:visible").first.click()
    operator.page.get_by_text("operator", exact=True).last.click()
    operator.page.get_by_role("button", name="English").click()
    expect(operator.page.locator("html")).to_have_attribute("lang", "en")
    expect(operator.page.get_by_role("heading", level=1)).to_contain_text("Orders")
    assert operator.page.url.endswith("/admin/shop/order/")
