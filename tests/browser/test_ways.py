"""Notices are in view, the login returns to where it was needed, and the focus stays."""

import pytest
from playwright.sync_api import expect

from tests.browser.shopper import DESKTOP, PHONE, Shopper
from tests.journeys.shopping import Buyer
from tests.nodes.shop_stack import ShopStack

COURSE = "Redis 从用到懂"


@pytest.mark.parametrize("shopper", [DESKTOP, PHONE], indirect=True)
def test_notice_of_a_coupon_far_down_is_in_view(shopper: Shopper) -> None:
    shopper.go("/coupons/")
    claim = shopper.page.get_by_role("button", name="领取").last
    claim.scroll_into_view_if_needed()
    claim.click()
    expect(shopper.notice()).to_contain_text("已领取")
    assert shopper.page.locator("#notices").get_attribute("aria-live") == "polite"
    assert not shopper.focused().startswith("BODY")


def test_notice_goes_by_itself_and_can_be_closed(shopper: Shopper) -> None:
    shopper.go("/coupons/")
    shopper.page.get_by_role("button", name="领取").first.click()
    shopper.notice()
    shopper.button("关闭提示").click()
    expect(shopper.page.locator("#notices .notice")).to_have_count(0)


def log_in(visitor: Shopper, password: str) -> None:
    visitor.page.fill("#username", "buyer2")
    visitor.page.fill("#password", password)
    visitor.button("登录").click()


def test_choice_survives_the_login(visitor: Shopper, shop: ShopStack) -> None:
    visitor.go("/")
    visitor.link(COURSE).click()
    visitor.page.locator('input[name="policy"]').nth(1).check()
    chosen = str(visitor.page.locator("input:checked").get_attribute("data-period"))
    visitor.button("加入购物车").click()
    visitor.page.wait_for_url("**/login/**")
    visitor.sees(f"请先登录，之后《{COURSE}》（{chosen}）会自动加入购物车。")
    log_in(visitor, shop.env["DEMO_PASSWORD"])
    visitor.page.wait_for_url("**/courses/*/")
    expect(visitor.notice()).to_contain_text("已加入购物车")
    visitor.go("/cart/")
    expect(visitor.page.locator("select option:checked")).to_contain_text(chosen)
    visitor.button("清空购物车").click()
    visitor.sees("购物车还是空的")


def test_choice_survives_a_login_that_has_ended(visitor: Shopper, shop: ShopStack) -> None:
    visitor.go("/")
    visitor.page.evaluate("localStorage.setItem('shop.token', 'x'.repeat(64))")
    visitor.link(COURSE).click()
    visitor.button("加入购物车").click()
    visitor.sees(f"登录已过期，请重新登录，之后《{COURSE}》（1个月）会自动加入购物车。")
    log_in(visitor, shop.env["DEMO_PASSWORD"])
    expect(visitor.notice()).to_contain_text("已加入购物车")
    visitor.go("/cart/")
    visitor.button("清空购物车").click()
    visitor.sees("购物车还是空的")


def test_login_page_names_its_reason(visitor: Shopper) -> None:
    visitor.go("/orders/")
    visitor.sees("请先登录，之后会回到刚才的页面。")
    visitor.page.evaluate("localStorage.setItem('shop.token', 'x'.repeat(64))")
    visitor.go("/orders/")
    visitor.sees("登录已过期，请重新登录")


def test_wrong_password_is_reported_and_keeps_the_focus(visitor: Shopper) -> None:
    visitor.go("/login/")
    log_in(visitor, "wrong password")
    expect(visitor.page.locator("#login-error")).to_have_text("用户名或密码不正确。")
    assert visitor.focused() == "INPUT password"
    assert visitor.page.locator("#login-error").get_attribute("role") == "alert"


ELSEWHERE = [
    "/.//evil.example/login",
    "//evil.example/",
    "https://evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "/%09/evil.example",
    "javascript:alert(1)",
    "http://[",
    "/./\\evil.example",
    "/x/..//evil.example/",
    "http:evil.example",
    "%2f%2fevil.example/",
    "/%2f/evil.example/",
    "／／evil.example/",
    "/\u2028/evil.example/",
    "data:text/html,x",
    "/login/?next=//evil.example/",
]


def test_login_leads_nowhere_but_to_this_shop(visitor: Shopper, buyer: Buyer, shop: ShopStack) -> None:
    token = str(buyer.api.http.headers["Authorization"]).removeprefix("Token ")
    visitor.go("/login/")
    visitor.page.evaluate(f"localStorage.setItem('shop.token', '{token}')")
    left: list[str] = []
    visitor.page.on(
        "request",
        lambda request: left.append(request.url) if not request.url.startswith(shop.web_url) else None,
    )
    for wanted in ELSEWHERE:
        visitor.page.goto(f"{shop.web_url}/login/?next={wanted.replace('%', '%25')}", wait_until="commit")
        visitor.page.wait_for_url(lambda url: "/login/" not in url.split("?")[0])
        assert visitor.page.url.startswith(f"{shop.web_url}/"), wanted
        assert not visitor.page.url.removeprefix(shop.web_url).startswith(("//", "/\\")), wanted
    assert left == []
    visitor.go("/login/?next=/orders/%3Fstatus%3Dpaid%23x")
    visitor.page.wait_for_url(f"{shop.web_url}/orders/?status=paid*")


def test_focus_stays_through_changes(shopper: Shopper, buyer: Buyer) -> None:
    buyer.fill_cart(COURSE, "Python 开发入门")
    shopper.go("/cart/")
    select = shopper.page.locator("select").first
    select.focus()
    select.select_option(index=1)
    expect(shopper.page.locator("[aria-busy]")).to_have_count(0)
    assert shopper.focused().startswith("SELECT policy-")
    tick = shopper.page.get_by_label(f"结算《{COURSE}》")
    tick.focus()
    tick.uncheck()
    assert shopper.focused().startswith("INPUT tick-")
    shopper.button(f"移除《{COURSE}》").click()
    shopper.sees("已选 1 门")
    assert not shopper.focused().startswith("BODY")


def test_live_change_keeps_the_focus_and_is_announced(shopper: Shopper, buyer: Buyer) -> None:
    order_number = buyer.buy()
    shopper.go(f"/orders/{order_number}/")
    shopper.button("取消订单").focus()
    expect(shopper.page.locator("#status")).to_contain_text("待支付")
    buyer.api.post(f"orders/{order_number}/cancel/")
    expect(shopper.page.locator("#status")).to_contain_text("订单已取消")
    expect(shopper.page).to_have_title("已取消 · 订单 · 课程商店")
    assert shopper.page.locator("#status").get_attribute("role") == "status"
    assert not shopper.focused().startswith("BODY")
