"""Finding a course, its page, and the shortcuts to buying it."""

import re

from playwright.sync_api import expect

from tests.browser.shopper import Shopper
from tests.journeys.shopping import Buyer
from tests.nodes.shop_stack import ShopStack

COURSE = "Redis 从用到懂"
DAY = r"\d{4}\.\d\d\.\d\d"


def course_id(shop: ShopStack, name: str) -> int:
    return int(shop.value("SELECT id FROM shop_course WHERE name = %s", name))


def titles(shopper: Shopper) -> list[str]:
    return shopper.page.locator(".cards h2").all_inner_texts()


def test_courses_are_found_in_chinese_and_other_languages(visitor: Shopper) -> None:
    visitor.go("/")
    visitor.page.get_by_role("searchbox").fill("事务")
    visitor.page.keyboard.press("Enter")
    visitor.sees("找到 1 门课程")
    assert titles(visitor) == ["PostgreSQL 事务与锁"]
    visitor.page.get_by_role("searchbox").fill("django")
    visitor.button("搜索").click()
    visitor.sees("找到 2 门课程")
    visitor.page.get_by_role("searchbox").fill("没有这样的课")
    visitor.button("搜索").click()
    visitor.sees("没有找到相关的课程")
    visitor.link("看看全部课程").click()
    visitor.sees(COURSE)


def test_shelves_lead_to_their_courses(visitor: Shopper) -> None:
    visitor.go("/")
    visitor.page.get_by_label("课程分类").get_by_role("link", name="前端").click()
    expect(visitor.page.locator("h1")).to_have_text("前端")
    assert titles(visitor) == ["前端三件套", "Vue 组件化开发"]
    visitor.page.get_by_label("课程分类").get_by_role("link", name="学位课程").click()
    assert titles(visitor) == ["全栈工程师学位"]
    expect(visitor.page.locator(".cards .status")).to_have_text("学位课程")


def test_course_is_bought_in_one_press(shopper: Shopper) -> None:
    shopper.go("/")
    shopper.link(COURSE).click()
    shopper.page.get_by_label("3个月").check()
    expect(shopper.page.locator("#price")).to_have_text("¥159.00")
    shopper.button("立即购买").click()
    shopper.page.wait_for_url("**/checkout/*/")
    shopper.sees("支付宝应付")
    shopper.sees("3个月")
    shopper.button("提交订单").click()
    shopper.sees("订单已创建")


def test_press_survives_the_login(visitor: Shopper, shop: ShopStack) -> None:
    visitor.go(f"/courses/{course_id(shop, COURSE)}/")
    visitor.button("立即购买").click()
    visitor.page.wait_for_url("**/login/**")
    visitor.sees(f"请先登录，之后会直接结算《{COURSE}》（1个月）。")
    visitor.page.fill("#username", "buyer2")
    visitor.page.fill("#password", shop.env["DEMO_PASSWORD"])
    visitor.button("登录").click()
    visitor.page.wait_for_url("**/checkout/*/")
    visitor.sees(COURSE)
    visitor.go("/cart/")
    visitor.page.get_by_role("button", name="清空购物车").click()
    visitor.sees("购物车还是空的")


def test_cancelled_order_is_bought_again_in_one_press(shopper: Shopper, buyer: Buyer) -> None:
    order_number = buyer.buy()
    buyer.api.post(f"orders/{order_number}/cancel/")
    shopper.go(f"/orders/{order_number}/")
    shopper.sees("订单已取消")
    shopper.button("再次购买").click()
    shopper.page.wait_for_url("**/checkout/*/")
    shopper.sees("支付宝应付")
    shopper.go("/orders/")
    shopper.button("再次购买").click()
    shopper.page.wait_for_url("**/checkout/*/")
    shopper.button("提交订单").click()
    shopper.sees("订单已创建")


def test_page_shows_the_readers_state_of_the_course(shopper: Shopper, buyer: Buyer, shop: ShopStack) -> None:
    """From buying it first, over an order that waits, to what a renewal adds."""
    order_number = buyer.buy(COURSE)
    page = f"/courses/{course_id(shop, COURSE)}/"
    shopper.go(page)
    period = shopper.page.locator(".period").first
    expect(period).to_have_text(re.compile(rf"^30 天：{DAY} → {DAY}$"))
    shopper.sees("这门课程已在一笔待支付订单中")
    shopper.link("去看那笔订单").click()
    shopper.page.wait_for_url(f"**/orders/{order_number}/")
    shopper.link("去支付").click()
    shopper.pay_at_cashier()
    shopper.sees("支付成功，课程已经开通。")
    shopper.go(page)
    shopper.sees("再次购买会从那时起顺延")
    expect(period).to_have_text(re.compile(rf"^增加 30 天：{DAY} → {DAY}$"))
    until = re.findall(DAY, shopper.page.locator("#mine").inner_text())
    assert re.findall(DAY, period.inner_text())[0] == until[0]


def test_membership_opens_what_is_for_members_only(shopper: Shopper, shop: ShopStack) -> None:
    vip = f"/courses/{course_id(shop, 'VIP 专享：架构师直播')}/"
    shopper.go(vip)
    shopper.sees("这门课程向 VIP 会员开放，不单独出售。")
    expect(shopper.button("立即购买")).to_have_count(0)
    shopper.link("开通会员").click()
    shopper.page.wait_for_url(f"**/courses/{course_id(shop, 'VIP 会员')}/")
    shopper.button("立即购买").click()
    shopper.button("提交订单").click()
    shopper.page.wait_for_url("**/orders/*/")
    shopper.link("去支付").click()
    shopper.pay_at_cashier()
    shopper.sees("支付成功，课程已经开通。")
    shopper.go(vip)
    shopper.sees("您是 VIP 会员，可以学习到")


def test_degree_shows_its_first_day_and_counts_from_it(visitor: Shopper, shop: ShopStack) -> None:
    pk = course_id(shop, "全栈工程师学位")
    first = shop.value("SELECT to_char(starts_on, 'YYYY.MM.DD') FROM shop_course WHERE id = %s", pk)
    visitor.go(f"/courses/{pk}/")
    visitor.sees(f"{first} 开课")
    visitor.sees("学位课程")
    expect(visitor.page.locator(".period").first).to_have_text(
        re.compile(rf"^360 天：{re.escape(first)} → {DAY}$")
    )
    visitor.sees("课程大纲")
    visitor.sees("第二阶段")
