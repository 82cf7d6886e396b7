"""What the pages say, and don't do, while the outcome of a payment is unknown."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Route, expect

from project.local.postgres import SUPERUSER
from project.local.state import ROOT
from tests.browser.shopper import DESKTOP, PHONE, Shopper
from tests.journeys.shopping import Buyer, control, pay, simple_body
from tests.nodes.shop_stack import ShopStack
from tests.variants import first_of

COURSE = "Redis 从用到懂"


def show_order(shopper: Shopper, order_number: str) -> None:
    shopper.go(f"/orders/{order_number}/")


def end_in(shop: ShopStack, order_number: str, seconds: int) -> None:
    """Moves the order's shown deadline and drops its cached answer."""
    shop.rows(
        "UPDATE shop_order SET expires_at = now() + make_interval(secs => %s) WHERE order_number = %s",
        seconds,
        order_number,
    )
    with shop.broker.container.client as client:
        client.flushall()


@contextmanager
def without_orders_being_made(shop: ShopStack, buyer: Buyer) -> Iterator[None]:
    """Holds the lock that the worker needs to create this buyer's orders."""
    with psycopg.connect(shop.database_url) as connection:
        connection.execute("SELECT 1 FROM shop_account WHERE id = %s FOR NO KEY UPDATE", [buyer.account_id])
        yield
        connection.rollback()


@contextmanager
def silent_alipay(shop: ShopStack) -> Iterator[None]:
    """Notifications get lost, and queries fail."""
    control(shop, "POST", "faults", {"kind": "drop", "times": 100})
    control(shop, "POST", "faults", {"kind": "http_error", "times": 1000, "method": "alipay.trade.query"})
    yield
    control(shop, "DELETE", "faults")


def test_passed_deadline_is_shown_and_nothing_loops(shopper: Shopper, buyer: Buyer, shop: ShopStack) -> None:
    order_number = buyer.buy()
    end_in(shop, order_number, 3)
    show_order(shopper, order_number)
    expect(shopper.link("去支付")).to_be_visible()
    shopper.sees("支付时间已过，正在确认…")
    expect(shopper.link("去支付")).to_have_count(0)
    expect(shopper.page).to_have_title("支付时间已过 · 订单 · 课程商店")
    shopper.requests.clear()
    shopper.page.wait_for_timeout(3000)
    assert len(shopper.requests) <= 3, shopper.requests


def test_buyer_who_returns_after_paying_is_not_asked_to_pay_again(
    shopper: Shopper, buyer: Buyer, shop: ShopStack
) -> None:
    order_number = buyer.buy()
    show_order(shopper, order_number)
    link = shopper.link("去支付").get_attribute("href")
    with silent_alipay(shop):
        shopper.link("去支付").click()
        shopper.pay_at_cashier()
        shopper.sees("正在确认支付，请勿重复付款")
        expect(shopper.link("去支付")).to_have_count(0)
        expect(shopper.page).to_have_title("确认支付中 · 订单 · 课程商店")
        # The old link is still in a chat or in another tab.
        shopper.page.goto(str(link))
        expect(shopper.page).to_have_url(f"{shop.web_url}/orders/{order_number}/")
        shopper.sees("请勿重复付款")
        expect(shopper.notice()).to_contain_text("支付宝暂时没有回应")
    shopper.sees("支付成功，课程已经开通。")


def test_paid_order_is_found_out_before_the_cashier(shopper: Shopper, buyer: Buyer, shop: ShopStack) -> None:
    """Paid on another device, and the notification got lost: 去支付 queries first."""
    order_number = buyer.buy()
    show_order(shopper, order_number)
    expect(shopper.link("去支付")).to_be_visible()
    control(shop, "POST", "faults", {"kind": "drop", "times": 10})
    pay(shop, buyer.open_cashier(order_number))
    shopper.link("去支付").click()
    shopper.page.wait_for_url(f"{shop.web_url}/orders/{order_number}/")
    shopper.sees("支付成功，课程已经开通。")


@pytest.mark.parametrize("answer", ["same", "unheld", "weak"])
def test_no_answer_makes_the_page_loop(shopper: Shopper, buyer: Buyer, shop: ShopStack, answer: str) -> None:
    """Whatever a proxy does: the whole order each time, "not modified" at once, or weak tags."""
    order_number = buyer.buy()
    url = f"{shop.web_url}/api/v1/orders/{order_number}/"
    token = {"Authorization": buyer.api.http.headers["Authorization"]}
    body = shopper.page.request.get(url, headers=token).body()
    count = 0

    def serve(route: Route) -> None:
        nonlocal count
        count += 1
        is_known = answer == "unheld" and "if-none-match" in route.request.headers
        tag = 'W/"a"' if answer == "weak" else '"a"'
        route.fulfill(
            status=304 if is_known else 200,
            headers={"ETag": tag, "Content-Type": "application/json"},
            body="" if is_known else body,
        )

    shopper.page.route(re.compile(re.escape(url)), serve)
    show_order(shopper, order_number)
    shopper.sees("订单已创建")
    shopper.page.wait_for_timeout(2500)
    assert 2 <= count <= 4


def make_older(shop: ShopStack, order_number: str) -> None:
    """By nine seconds, with the triggers disabled that keep the time of the request unchanged."""
    url = shop.database_url.replace("//shop:", f"//{SUPERUSER}:")
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "UPDATE shop_orderrequest SET created_at = now() - interval '9 seconds' WHERE order_number = %s",
            [order_number],
        )


def test_accepted_order_is_shown_everywhere_at_once(shopper: Shopper, buyer: Buyer, shop: ShopStack) -> None:
    buyer.fill_cart(COURSE, "Python 开发入门")
    with without_orders_being_made(shop, buyer):
        order_number = buyer.place(simple_body(shop, COURSE))
        shopper.go("/orders/")
        row = shopper.page.locator(".order")
        for text in (COURSE, "处理中", "¥"):
            expect(row).to_contain_text(text)
        shopper.go("/cart/")
        shopper.sees("已提交订单，正在处理。")
        shopper.sees("已选 1 门")
        expect(shopper.page.get_by_label(f"结算《{COURSE}》")).to_be_disabled()
        show_order(shopper, order_number)
        shopper.sees(COURSE)
        shopper.sees("通常只要一两秒")
        make_older(shop, order_number)
        with shop.broker.container.client as client:
            client.flushall()
        shopper.page.reload()
        shopper.sees("处理得比平时慢")
        shopper.misses("通常只要一两秒")
    shopper.sees("订单已创建")
    shopper.go("/orders/")
    expect(shopper.page.locator(".order")).to_contain_text("待支付")


def test_refused_order_is_listed_with_its_reason(shopper: Shopper, buyer: Buyer, shop: ShopStack) -> None:
    buyer.follow(buyer.place(simple_body(shop, COURSE) | {"alipay": "0.01"}))
    shopper.go("/orders/")
    row = shopper.page.locator(".order")
    for text in (COURSE, "未能下单", "报价有变化", "¥0.01"):
        expect(row).to_contain_text(text)


@pytest.mark.parametrize("shopper", first_of(DESKTOP, PHONE), indirect=True)
def test_new_quote_can_be_confirmed_on_another_device(
    shopper: Shopper, buyer: Buyer, shop: ShopStack
) -> None:
    [course_id] = buyer.fill_cart(COURSE)
    checkout = buyer.check_out([course_id])
    old = checkout["quote"]["alipay"]
    policy_id = checkout["payment_list"]["policy_course_dict"][str(course_id)]["policy_id"]
    body = simple_body(shop, COURSE) | {"checkout_id": checkout["checkout_id"], "alipay": old}
    price = shop.value("SELECT price FROM shop_pricepolicy WHERE id = %s", policy_id)
    shop.rows("UPDATE shop_pricepolicy SET price = price + 7 WHERE id = %s", policy_id)
    try:
        order_number = buyer.place(body)
        buyer.follow(order_number)
        show_order(shopper, order_number)
        shopper.sees("报价有变化")
        facts = shopper.page.locator(".banner .facts")
        for text in (COURSE, f"¥{price} → ¥{price + 7}", "原来的应付", f"¥{old}", "新的应付"):
            expect(facts).to_contain_text(text)
        shopper.button(f"按新价格提交 ¥{price + 7}").click()
        shopper.sees("订单已创建")
        expect(shopper.link("去支付")).to_contain_text(f"¥{price + 7}")
    finally:
        shop.rows("UPDATE shop_pricepolicy SET price = %s WHERE id = %s", price, policy_id)


def test_refund_shows_its_amount_before_and_its_progress_after(
    shopper: Shopper, buyer: Buyer, shop: ShopStack
) -> None:
    from_price = shop.value(
        "SELECT p.price FROM shop_pricepolicy p JOIN shop_course c ON c.id = p.course_id WHERE c.name = %s "
        "AND p.valid_period = 30",
        COURSE,
    )
    order_number, _ = buyer.buy_paid()
    show_order(shopper, order_number)
    shopper.page.get_by_text("申请退款", exact=True).click()
    expect(shopper.page.locator("#refund-sum")).to_contain_text(f"将退回¥{from_price}")
    shopper.page.get_by_label("原因").fill("学不动了")
    shopper.button("提交退款申请").click()
    expect(shopper.notice()).to_contain_text("已收到退款申请")
    shopper.sees("待审核")

    refund = one_refund(shop, order_number)
    shop_manage(shop, "reject", refund, why="超过了七天")
    shopper.sees("未通过的原因：超过了七天")

    shopper.page.get_by_text("申请退款", exact=True).click()
    shopper.button("提交退款申请").click()
    shopper.sees("待审核")
    expect(shopper.page.locator("section[aria-label=课程] .status")).to_have_text("退款中")
    shop_manage(shop, "approve", one_refund(shop, order_number, status="requested"), why="")
    expect(shopper.page.locator("section[aria-label=课程] .status")).to_have_text("已退款")
    shopper.sees("款项已退回，课程已停止。")
    shopper.requests.clear()
    shopper.page.wait_for_timeout(2000)
    assert shopper.requests == []  # nothing is left to follow


def test_no_refund_can_be_asked_for_before_its_amount_is_shown(
    shopper: Shopper, buyer: Buyer, shop: ShopStack
) -> None:
    order_number, _ = buyer.buy_paid()
    show_order(shopper, order_number)
    shopper.page.locator("#refund-form summary").wait_for()
    shopper.page.route("**/refunds/quote/", lambda route: route.abort())
    press_both = (
        "first => { document.querySelector(first).click();"
        " document.querySelector('#refund-form .form > .button').click(); }"
    )
    shopper.requests.clear()

    shopper.page.evaluate(press_both, "#refund-form summary")
    submit = shopper.button("提交退款申请")
    expect(submit).to_be_disabled()
    expect(shopper.button("重新计算金额")).to_be_visible()
    expect(submit).to_be_disabled()

    shopper.page.unroute("**/refunds/quote/")
    shopper.page.evaluate(press_both, "#refund-sum button")
    expect(shopper.page.locator("#refund-sum")).to_contain_text("将退回")
    shopper.page.evaluate(press_both, "#refund-form [name=line]")
    shopper.sees("请选择要退的课程。")
    expect(submit).to_be_disabled()
    assert f"POST orders/{order_number}/refunds/" not in shopper.requests

    shopper.page.locator("#refund-form [name=line]").check()
    submit.click()
    shopper.sees("待审核")
    assert shopper.requests.count(f"POST orders/{order_number}/refunds/") == 1


def test_refund_form_keeps_its_input_while_another_refund_moves_on(
    shopper: Shopper, buyer: Buyer, shop: ShopStack
) -> None:
    courses = buyer.fill_cart(COURSE, "前端三件套")
    shopper.check_out()
    order_number = shopper.page.url.rstrip("/").rpartition("/")[2]
    assert buyer.follow(order_number)["status"] == "awaiting_payment"
    pay(shop, buyer.open_cashier(order_number))
    assert buyer.follow(order_number, while_status="awaiting_payment")["status"] == "paid"
    buyer.api.post(f"orders/{order_number}/refunds/", {"lines": courses[:1], "reason": ""})
    show_order(shopper, order_number)
    shopper.page.get_by_text("申请退款", exact=True).click()
    shopper.page.get_by_label("原因").fill("也学不动了")
    shop_manage(shop, "approve", one_refund(shop, order_number), why="")
    shopper.sees("已退款")
    expect(shopper.page.get_by_label("原因")).to_have_value("也学不动了")
    expect(shopper.page.get_by_label("原因")).to_be_focused()
    shopper.button("提交退款申请").click()
    shopper.sees("待审核")


def one_refund(shop: ShopStack, order_number: str, status: str = "requested") -> int:
    return int(
        shop.value(
            "SELECT r.id FROM payments_refund r JOIN shop_order o ON o.id = r.order_id WHERE o.order_number "
            "= %s AND r.status = %s",
            order_number,
            status,
        )
    )


def shop_manage(shop: ShopStack, deed: str, refund_id: int, *, why: str) -> None:
    """Does what the admin's button does, in a separate process with this shop's settings."""
    code = f"""
import django; django.setup()
from payments.domain.refunds import deciding
from payments.gateways import find_gateways
from payments.tasks import send_refunds
from shop import clock
from shop.models import Account
from shop.wakeup import settle, wake_soon
staff = Account.objects.get(username="operator")
more = {{"why": {why!r}, "gateways": find_gateways()}} if {deed!r} == "reject" else {{}}
deciding.{deed}_refund({refund_id}, staff=staff, now=clock.now(), cause="test", **more)
wake_soon(send_refunds)
settle()
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=shop.env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_owned_course_stays_reachable_when_it_is_off_sale(
    shopper: Shopper, visitor: Shopper, buyer: Buyer, shop: ShopStack
) -> None:
    buyer.buy_paid()
    course_id = shop.value("SELECT id FROM shop_course WHERE name = %s", COURSE)
    shop.rows("UPDATE shop_course SET status = 1 WHERE id = %s", course_id)
    try:
        shopper.go("/me/")
        shopper.link(COURSE).click()
        shopper.sees("您已拥有这门课程")
        expect(shopper.page.locator("h1")).to_have_text(COURSE)
        expect(shopper.button("加入购物车")).to_have_count(0)
        visitor.go(f"/courses/{course_id}/")
        expect(visitor.page.locator("h1")).to_have_text("没有这门课程")
    finally:
        shop.rows("UPDATE shop_course SET status = 0 WHERE id = %s", course_id)


@pytest.mark.parametrize(("shopper", "method"), [(PHONE, "wap"), (DESKTOP, "page")], indirect=["shopper"])
def test_device_gets_its_own_cashier(shopper: Shopper, buyer: Buyer, shop: ShopStack, method: str) -> None:
    order_number = buyer.buy()
    show_order(shopper, order_number)
    shopper.link("去支付").click()
    shopper.page.wait_for_url(f"{shop.simulator_url}/**")
    assert (
        shop.value(
            "SELECT p.product FROM payments_payment p JOIN shop_order o ON o.id = p.order_id WHERE "
            "o.order_number = %s",
            order_number,
        )
        == method
    )


def test_code_for_the_phone_is_a_picture_and_a_previewed_link_leaves_it_alone(
    shopper: Shopper, buyer: Buyer, shop: ShopStack
) -> None:
    order_number = buyer.buy()
    show_order(shopper, order_number)
    link = str(shopper.link("去支付").get_attribute("href"))
    shopper.button("扫码支付").click()
    code = shopper.page.get_by_role("img", name="支付宝付款码")
    expect(code).to_be_in_viewport()
    box: Any = code.bounding_box()
    assert box["width"] >= 180
    assert shopper.page.request.get(link).status == 200
    payment = shop.rows(
        "SELECT p.status, p.product, p.out_trade_no FROM payments_payment p JOIN shop_order o ON o.id = "
        "p.order_id WHERE o.order_number = %s",
        order_number,
    )
    assert [(row["status"], row["product"]) for row in payment] == [("open", "qr")]
    pay(shop, payment[0]["out_trade_no"])
    shopper.sees("支付成功，课程已经开通。")


def test_buyer_can_change_from_the_code_to_the_page(shopper: Shopper, buyer: Buyer, shop: ShopStack) -> None:
    order_number = buyer.buy()
    show_order(shopper, order_number)
    shopper.button("扫码支付").click()
    expect(shopper.page.get_by_role("img", name="支付宝付款码")).to_be_visible()
    shopper.link("去支付").click()
    shopper.sees("换一种方式支付")
    shopper.button("换用电脑网站支付").click()
    shopper.pay_at_cashier()
    shopper.sees("支付成功，课程已经开通。")
