"""On a phone, everything important is in view without scrolling in both languages, and a new buyer can buy
within a minute.
"""

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.shopper import ENGLISH_PHONE, PHONE, Shopper
from tests.journeys.shopping import Buyer
from tests.nodes.shop_stack import ShopStack
from tests.variants import first_of

COURSE = "Redis 从用到懂"
BOTH_LANGUAGES = pytest.mark.parametrize("shopper", first_of(PHONE, ENGLISH_PHONE), indirect=True)
# Typing and reading speed: 80 ms a key, and a second for new content on the screen.
KEY_MS, READ_MS, AIM_MS = 80, 900, 300


def is_whole_on_screen(node: Locator) -> None:
    """Whether it is fully visible and not covered by anything."""
    expect(node).to_be_in_viewport(ratio=1)
    box: Any = node.bounding_box()
    assert node.evaluate(
        "(node, [x, y]) => { const top = document.elementFromPoint(x, y); return node.contains(top) || "
        "top.contains(node); }",
        [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2],
    )


@BOTH_LANGUAGES
def test_nothing_that_matters_is_below_the_fold(shopper: Shopper, buyer: Buyer) -> None:
    page = shopper.page
    shopper.go("/")
    for node in (
        page.get_by_role("searchbox"),
        page.locator(".cards > .card").nth(2),
        page.get_by_role("link", name="Python 与后端"),
    ):
        is_whole_on_screen(node)
    shopper.link(COURSE).click()
    for node in (
        page.locator("h1"),
        page.locator("#price"),
        page.locator("#add"),
        page.locator("#buy"),
        page.locator(".period").nth(2),
    ):
        is_whole_on_screen(node)
    page.locator("#buy").click()
    page.wait_for_url("**/checkout/*/")
    for node in (page.locator("#alipay"), page.locator("#submit"), page.get_by_text(COURSE)):
        is_whole_on_screen(node)
    shopper.go("/cart/")
    for node in (page.locator(".paybar .amount"), page.locator(".paybar .button"), page.get_by_text(COURSE)):
        is_whole_on_screen(node)
    order_number = buyer.buy()
    shopper.go(f"/orders/{order_number}/")
    for node in (
        page.locator(".paybar .total .amount"),
        page.locator(".paybar .button"),
        page.locator(".countdown"),
        page.locator(".banner .status"),
    ):
        is_whole_on_screen(node)


@BOTH_LANGUAGES
def test_bar_stays_and_covers_nothing_permanently(shopper: Shopper, buyer: Buyer) -> None:
    page = shopper.page
    for path in (f"/orders/{buyer.buy()}/", "/cart/", "/"):
        if path == "/cart/":
            buyer.fill_cart(COURSE, "Python 开发入门", "前端三件套", "Linux 运维基础", "算法与数据结构")
        shopper.go(path)
        if path == "/":
            shopper.link(COURSE).click()
        expect(page.locator(".paybar .button").last).to_be_visible()
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        is_whole_on_screen(page.locator(".paybar .button").last)
        is_whole_on_screen(page.locator("footer p"))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


class Newcomer:
    """A first-time visitor, who reads new content, aims and presses, types key by key, and never scrolls
    back.
    """

    def __init__(self, shopper: Shopper) -> None:
        self.shopper, self.page, self.lowest = shopper, shopper.page, 0.0

    def press(self, target: str, role: Any = "button") -> None:
        self.page.wait_for_timeout(READ_MS)
        node = self.page.get_by_role(role, name=target).first
        self.move_to(node)
        node.click()

    def write(self, field: str, text: str) -> None:
        node = self.page.locator(field)
        self.move_to(node)
        node.click()
        node.press_sequentially(text, delay=KEY_MS)

    def move_to(self, node: Locator) -> None:
        before = self.page.evaluate("scrollY")
        node.scroll_into_view_if_needed()
        assert self.page.evaluate("scrollY") >= before, "scrolled back"
        self.page.wait_for_timeout(AIM_MS)


@pytest.mark.parametrize("visitor", first_of(PHONE, ENGLISH_PHONE), indirect=True)
def test_newcomer_registers_and_buys_on_a_phone_within_a_minute(visitor: Shopper, shop: ShopStack) -> None:
    words = ENGLISH if visitor.page.evaluate("navigator.language") == "en-US" else CHINESE
    someone, page, started = Newcomer(visitor), visitor.page, time.monotonic()
    visitor.go("/")
    someone.press(COURSE, "link")
    someone.press(words["buy"])
    page.wait_for_url("**/login/**")
    someone.press(words["register"], "link")
    page.wait_for_url("**/register/**")
    someone.write("#username", f"new-{re.sub('[^0-9]', '', visitor.shop.web_url)[-5:]}-{words['name']}")
    someone.write("#password", "correct horse 7")
    someone.press(words["register and log in"])
    page.wait_for_url("**/checkout/*/")
    someone.press(words["order"])
    page.wait_for_url("**/orders/*/")
    someone.press(words["pay"], "link")
    page.wait_for_url(f"{shop.simulator_url}/**")
    someone.press("模拟手机扫码")
    someone.press("确认付款")
    visitor.sees(words["paid"])
    took = time.monotonic() - started
    print(f"a newcomer bought in {took:.0f} s")
    assert took < 60


CHINESE = {
    "buy": "立即购买", "register": "注册新账户", "register and log in": "注册并登录", "order": "提交订单",
    "pay": "去支付",
    "paid": "支付成功，课程已经开通。", "name": "zh",
}  # fmt: skip
ENGLISH = {
    "buy": "Buy now", "register": "New account", "register and log in": "Register and log in",
    "order": "Place order", "pay": "Pay",
    "paid": "Payment received. You have access to your courses.", "name": "en",
}  # fmt: skip
