"""The whole purchase in a browser."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.shopper import DESKTOP, PHONE, Shopper
from tests.journeys.shopping import Buyer, count_orders
from tests.nodes.shop_stack import ShopStack
from tests.variants import first_of

BOTH = pytest.mark.parametrize("shopper", first_of(DESKTOP, PHONE), indirect=True)
COURSE = "Redis 从用到懂"


@BOTH
def test_course_is_bought(shopper: Shopper, buyer: Buyer) -> None:
    shopper.add_to_cart(COURSE)
    shopper.link("去购物车").click()
    shopper.button("去结算").click()
    shopper.button("提交订单").click()
    shopper.sees("订单已创建，请在倒计时结束前完成支付。")
    expect(shopper.page).to_have_title("待支付 · 订单 · 课程商店")
    shopper.link("去支付").click()
    shopper.pay_at_cashier()
    shopper.sees("支付成功，课程已经开通。")
    expect(shopper.page).to_have_title("已支付 · 订单 · 课程商店")
    shopper.link("去我的课程").click()
    shopper.sees(COURSE)
    shopper.sees("学习中")
    assert buyer.api.get("cart/") == {}


def test_course_is_bought_by_keyboard_alone(shopper: Shopper) -> None:
    page = shopper.page

    def tab_to(name: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if name in shopper.focused():
                return
        pytest.fail(f"{name} can't be reached")

    def enter(name: str, then_sees: str) -> None:
        tab_to(name)
        page.keyboard.press("Enter")
        shopper.sees(then_sees)

    shopper.go("/")
    shopper.sees(COURSE)
    enter(COURSE, then_sees="选择有效期")
    enter("add", then_sees="已加入购物车")
    assert shopper.focused() == "BUTTON add"
    page.reload()
    shopper.sees("选择有效期")
    enter("购物车", then_sees="已选 1 门")
    enter("去结算", then_sees="支付宝应付")
    enter("submit", then_sees="订单已创建")
    tab_to("去支付")
    page.keyboard.press("Enter")
    shopper.pay_at_cashier()
    shopper.sees("支付成功")


def test_order_goes_through_although_the_line_drops(shopper: Shopper, buyer: Buyer, shop: ShopStack) -> None:
    buyer.fill_cart(COURSE)
    shopper.go("/cart/")
    shopper.button("去结算").click()
    shopper.sees("支付宝应付")
    shopper.page.context.set_offline(True)
    shopper.button("提交订单").click()
    shopper.sees("没有收到回应，订单可能已经收到。")
    shopper.notice()
    shopper.page.context.set_offline(False)
    shopper.button("提交订单").click()
    shopper.sees("订单已创建")
    shopper.page.context.set_offline(True)
    shopper.sees("暂时联系不上商店")
    shopper.page.context.set_offline(False)
    buyer.api.post(f"{api_path(shopper)}cancel/")
    shopper.sees("订单已取消")
    shopper.misses("暂时联系不上商店")
    assert count_orders(shop, buyer.account_id) == 1


def test_period_chosen_while_another_is_being_saved_is_kept(shopper: Shopper, buyer: Buyer) -> None:
    [course_id] = buyer.fill_cart(COURSE)
    shopper.go("/cart/")
    periods = shopper.page.locator(f"#policy-{course_id}")
    texts = periods.locator("option").all_text_contents()
    periods.evaluate(
        "select => { for (const index of [1, 2]) {"
        " select.selectedIndex = index; select.dispatchEvent(new Event('change')); } }"
    )
    expect(shopper.page.locator(f"#policy-{course_id} ~ .amount")).to_have_text(texts[2].split()[-1])
    [line] = buyer.api.get("cart/").values()
    assert periods.input_value() == str(line["choice_policy_id"])


def test_two_tabs_make_one_order_and_show_the_same(
    browser: Browser, shopper: Shopper, buyer: Buyer, shop: ShopStack
) -> None:
    buyer.fill_cart(COURSE)
    shopper.go("/cart/")
    shopper.button("去结算").click()
    shopper.sees("支付宝应付")
    second = Shopper.on(shopper.page.context.new_page(), shop, buyer)
    second.page.goto(shopper.page.url)
    second.sees("支付宝应付")
    shopper.button("提交订单").click()
    shopper.sees("订单已创建")
    second.button("提交订单").click()
    second.sees("订单已创建")
    assert second.page.url == shopper.page.url
    assert count_orders(shop, buyer.account_id) == 1
    second.button("取消订单").click()
    for tab in (shopper, second):
        tab.page.bring_to_front()
        tab.sees("订单已取消")
    assert second.errors == []


def api_path(shopper: Shopper) -> str:
    return "orders/" + shopper.page.url.rstrip("/").split("/")[-1] + "/"
