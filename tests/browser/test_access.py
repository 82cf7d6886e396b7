"""axe finds no serious violations, in the light and the dark scheme."""

import pytest
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.shopper import DESKTOP, PHONE, Shopper
from tests.journeys.shopping import Buyer, pay, simple_body
from tests.nodes.shop_stack import ShopStack
from tests.variants import first_of

COURSE = "Redis 从用到懂"


def findings(shopper: Shopper) -> list[str]:
    shopper.page.emulate_media(color_scheme="light")
    found = axe.findings(shopper.page)
    shopper.page.emulate_media(color_scheme="dark")
    return found + axe.findings(shopper.page, scheme="dark", **axe.COLOURS)


@pytest.mark.parametrize("shopper", first_of(DESKTOP, PHONE), indirect=True)
def test_axe_finds_nothing_serious(shopper: Shopper, buyer: Buyer, shop: ShopStack) -> None:
    page = shopper.page
    found: list[str] = []

    def look(path: str, ready: str) -> None:
        shopper.go(path)
        expect(page.locator("main").get_by_text(ready).first).to_be_visible()
        expect(page.locator(".loading")).to_have_count(0)
        found.extend(findings(shopper))

    look("/", COURSE)
    course_id, *_ = buyer.fill_cart(COURSE)
    look(f"/courses/{course_id}/", "选择有效期")
    shopper.button("加入购物车").click()
    shopper.notice()
    found.extend(findings(shopper))
    look("/cart/", "已选 1 门")
    shopper.button("去结算").click()
    shopper.sees("支付宝应付")
    found.extend(findings(shopper))
    look("/coupons/", "可以领取")
    order_number = buyer.buy()
    look(f"/orders/{order_number}/", "订单已创建")
    if page.get_by_role("button", name="扫码支付").count():
        shopper.button("扫码支付").click()
        expect(page.get_by_role("img", name="支付宝付款码")).to_be_visible()
        found.extend(findings(shopper))
    pay(shop, buyer.open_cashier(order_number))
    shopper.sees("支付成功")
    page.get_by_text("申请退款", exact=True).click()
    expect(page.locator("#refund-sum")).to_contain_text("将退回")
    found.extend(findings(shopper))
    refused = buyer.place(simple_body(shop, COURSE) | {"alipay": "0.01"})
    buyer.follow(refused)
    look(f"/orders/{refused}/", "报价有变化")
    look("/orders/", "未能下单")
    look("/me/", "我的课程")
    page.evaluate("localStorage.clear()")
    assert found == []


def test_axe_finds_nothing_serious_before_the_login(visitor: Shopper) -> None:
    visitor.go("/login/?why=login")
    visitor.page.fill("#username", "nobody")
    visitor.page.fill("#password", "wrong password")
    visitor.button("登录").click()
    expect(visitor.page.locator("#login-error")).not_to_be_empty()
    assert findings(visitor) == []
