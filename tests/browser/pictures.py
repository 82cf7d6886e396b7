"""Takes the screenshots in docs/images from a running shop: `PICTURES=docs/images bin/test
tests/browser/pictures.py`. Reduces them to 64 colours if Pillow is installed.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.shopper import DESKTOP, ENGLISH_PHONE, PHONE, Device, Shopper
from tests.browser.test_money_in_doubt import (
    end_in,
    make_older,
    one_refund,
    shop_manage,
    silent_alipay,
    without_orders_being_made,
)
from tests.journeys.shopping import Buyer, new_buyer, simple_body
from tests.nodes.shop_stack import ShopStack

FOLDER = Path(os.environ.get("PICTURES", "/tmp"))
COURSE, OTHER = "Redis 从用到懂", "Python 开发入门"
pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]


class Camera:
    """Takes the same page on several devices."""

    def __init__(
        self, stack: ExitStack, browser: Browser, shop: ShopStack, buyer: Buyer, devices: tuple[Device, ...]
    ) -> None:
        self.shoppers = [stack.enter_context(Shopper.at(browser, shop, device, buyer)) for device in devices]

    def take(self, name: str, path: str, ready: str, before: Callable[[Shopper], object] = bool) -> None:
        for shopper in self.shoppers:
            width = shopper.page.viewport_size["width"] if shopper.page.viewport_size else 0
            shopper.go(path)
            expect(shopper.page.locator(ready).first).to_be_visible()
            before(shopper)
            shopper.page.wait_for_timeout(500)
            english = "-en" if shopper.page.locator("html").get_attribute("lang") == "en" else ""
            target = FOLDER / f"{name}{english}-{width}.png"
            shopper.page.screenshot(path=target)
            reduce(target)


def reduce(path: Path) -> None:
    try:
        from PIL import Image
    except ImportError:
        return
    with Image.open(path) as image:
        small = image.convert("RGB")
    if small.width > 1000:
        small = small.resize((960, small.height * 960 // small.width), Image.Resampling.LANCZOS)
    small.quantize(64).save(path, optimize=True)


def test_pictures(browser: Browser, shop: ShopStack, buyer: Buyer) -> None:
    with ExitStack() as stack:
        camera = Camera(stack, browser, shop, buyer, (DESKTOP, PHONE))
        course_id, *_ = buyer.fill_cart(COURSE, OTHER)
        camera.take("courses", "/", ".cards .cover")
        camera.take("cart", "/cart/", ".paybar")
        checkout = buyer.check_out([course_id])["checkout_id"]
        camera.take("checkout", f"/checkout/{checkout}/", "#submit")
        waiting = buyer.buy(COURSE)
        camera.take("order", f"/orders/{waiting}/", ".paybar")
        camera.take("course", f"/courses/{course_id}/", "#mine .remark")
        end_in(shop, waiting, 1)
        camera.take(
            "order-overdue", f"/orders/{waiting}/", ".status", lambda one: one.sees("支付时间已过，正在确认…")
        )
        take_refund(camera, shop, buyer)
    with ExitStack() as stack:
        take_accepted(Camera(stack, browser, shop, buyer, (DESKTOP, PHONE)), shop, buyer)
    with ExitStack() as stack:
        other = new_buyer(shop)
        take_confirming(Camera(stack, browser, shop, other, (DESKTOP, PHONE)), shop, other)
    with ExitStack() as stack:
        english = Camera(stack, browser, shop, new_buyer(shop), (ENGLISH_PHONE,))
        english.take("course", f"/courses/{course_id}/", "#buy")


def take_refund(camera: Camera, shop: ShopStack, buyer: Buyer) -> None:
    paid, _ = buyer.buy_paid()
    buyer.api.post(f"orders/{paid}/refunds/", {"reason": "学不动了"})
    shop_manage(shop, "reject", one_refund(shop, paid), why="超过了七天")

    def ask(shopper: Shopper) -> None:
        shopper.sees("未通过的原因：超过了七天")
        shopper.page.get_by_text("申请退款", exact=True).click()
        expect(shopper.page.locator("#refund-sum")).to_contain_text("将退回")
        shopper.page.locator("section[aria-label=退款]").evaluate("node => scrollTo(0, node.offsetTop - 90)")

    camera.take("order-refund", f"/orders/{paid}/", "#refund-form", ask)


def take_accepted(camera: Camera, shop: ShopStack, buyer: Buyer) -> None:
    course_id, *_ = buyer.fill_cart("Linux 运维基础")
    checkout = buyer.check_out([course_id])
    policy_id = checkout["payment_list"]["policy_course_dict"][str(course_id)]["policy_id"]
    shop.rows("UPDATE shop_pricepolicy SET price = price + 7 WHERE id = %s", policy_id)
    try:
        body = simple_body(shop, "Linux 运维基础") | {
            "checkout_id": checkout["checkout_id"],
            "alipay": checkout["quote"]["alipay"],
        }
        refused = buyer.place(body)
        buyer.follow(refused)
        camera.take("order-requote", f"/orders/{refused}/", ".banner .facts")
    finally:
        shop.rows("UPDATE shop_pricepolicy SET price = price - 7 WHERE id = %s", policy_id)
    with without_orders_being_made(shop, buyer):
        make_older(shop, buyer.place(simple_body(shop, "支付系统设计")))
        with shop.broker.container.client as client:
            client.flushall()
        camera.take("orders-accepted", "/orders/", ".status.pending")


def take_confirming(camera: Camera, shop: ShopStack, buyer: Buyer) -> None:
    order_number = buyer.buy(COURSE)
    with silent_alipay(shop):
        first = camera.shoppers[0]
        first.go(f"/orders/{order_number}/")
        first.link("去支付").click()
        first.pay_at_cashier()
        camera.take(
            "order-confirming",
            f"/orders/{order_number}/",
            ".status",
            lambda one: one.sees("正在确认支付，请勿重复付款"),
        )
