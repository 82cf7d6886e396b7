"""A newcomer's account, in the browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.shopper import Shopper
from tests.browser.test_access import findings
from tests.journeys.shopping import Buyer
from tests.nodes.shop_stack import ShopStack

COURSE = "Redis 从用到懂"


def test_newcomer_registers_on_the_way_to_the_cart(visitor: Shopper) -> None:
    page = visitor.page
    visitor.go("/")
    visitor.link(COURSE).click()
    visitor.button("加入购物车").click()
    page.wait_for_url("**/login/**")
    visitor.link("注册新账户").click()
    page.wait_for_url("**/register/**")
    page.fill("#username", "buyer2")
    page.fill("#password", "a long pass phrase")
    visitor.button("注册并登录").click()
    expect(page.locator("#username-error")).to_have_text("这个用户名已被使用，请换一个。")
    assert visitor.focused() == "INPUT username"
    assert findings(visitor) == []
    page.fill("#username", f"newcomer-{re.sub(r'[^0-9]', '', visitor.shop.web_url)}")
    visitor.button("注册并登录").click()
    page.wait_for_url("**/courses/*/")
    expect(visitor.notice()).to_contain_text("已加入购物车")


@pytest.mark.parametrize("path", ["/password/reset/", "/password/reset/done/", "/password/reset/MQ/x/"])
def test_pages_of_a_forgotten_password_are_accessible(visitor: Shopper, path: str) -> None:
    visitor.go(path)
    assert findings(visitor) == []


def test_buyer_changes_password_and_contact(shopper: Shopper, buyer: Buyer, shop: ShopStack) -> None:
    page = shopper.page
    shopper.go("/me/")
    shopper.link("账户设置").click()
    page.fill("#email", "buyer@shop.test")
    shopper.button("保存").click()
    expect(shopper.notice()).to_contain_text("已保存")
    page.fill("#old_password", "wrong password")
    page.fill("#password", "a long pass phrase")
    page.get_by_role("button", name="修改密码").click()
    expect(page.locator("#old_password-error")).to_have_text("原密码不正确。")
    assert shopper.focused() == "INPUT old_password"
    page.fill("#old_password", shop.env["DEMO_PASSWORD"])
    page.get_by_role("button", name="修改密码").click()
    expect(shopper.notice()).to_contain_text("密码已修改")
    assert findings(shopper) == []
    page.reload()
    expect(page.locator("#email")).to_have_value("buyer@shop.test")
    assert buyer.api.http.get("balance/").status_code == 401
