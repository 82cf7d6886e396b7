"""English and Chinese: by the browser's preference, by the reader's choice, and on every page."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.shopper import DESKTOP, ENGLISH_DESKTOP, ENGLISH_PHONE, Shopper
from tests.browser.test_access import findings
from tests.journeys.shopping import Buyer, simple_body
from tests.nodes.shop_stack import ShopStack

COURSE = "Redis 从用到懂"
CHINESE = re.compile(r"[\u4e00-\u9fff][^\n]*")
# Texts by staff: courses, categories and coupons stay in the language in which they were written.
WRITTEN = """
    SELECT name AS text FROM shop_course UNION SELECT brief FROM shop_course UNION SELECT syllabus
    FROM shop_course
    UNION SELECT name FROM shop_category UNION SELECT brief FROM shop_category UNION SELECT name
    FROM shop_coupon
    UNION SELECT DISTINCT memo FROM shop_ledgertransfer UNION SELECT '中文'
"""


@pytest.fixture
def written(shop: ShopStack) -> list[str]:
    """Texts from the database, longest first, since some contain others."""
    texts = {line.lstrip("# ") for row in shop.rows(WRITTEN) for line in row["text"].splitlines()}
    return sorted(filter(None, texts), key=len, reverse=True)


def chinese_left(shopper: Shopper, written: list[str]) -> list[str]:
    """Chinese on the page, visible or for screen readers, that isn't from the database."""
    said: str = shopper.page.evaluate(
        """() => {
            const names = ['aria-label', 'placeholder', 'alt'];
            const nodes = [...document.querySelectorAll(names.map((name) => `[${name}]`).join())];
            const said = nodes.flatMap((node) => names.map((name) => node.getAttribute(name)));
            return [document.title, document.body.innerText, ...said.filter(Boolean)].join('\\n');
        }"""
    )
    for text in written:
        said = said.replace(text, "")
    return CHINESE.findall(said)


def pages(shopper: Shopper, buyer: Buyer, shop: ShopStack) -> Iterator[str]:
    """Takes the reader from page to page and through the states of an order; yields the current place."""
    page = shopper.page
    course_id, *_ = buyer.fill_cart(COURSE)
    paid, _ = buyer.buy_paid()
    waiting = buyer.buy("Python 开发入门")
    refused = buyer.place(simple_body(shop, "前端三件套") | {"alipay": "0.01"})
    buyer.follow(refused)
    for path, ready in (
        ("/", "and up"), ("/?search=zzz", "No course matches"), ("/?type=1", "Free for members"),
        (f"/courses/{course_id}/", "Buy now"),
        ("/cart/", "1 course selected"), ("/coupons/", "Available to claim"), ("/orders/", "Not accepted"),
        ("/me/", "My courses"),
        ("/me/account/", "Change password"), (f"/orders/{refused}/", "The quote has changed"),
        ("/nowhere/", "Page not found"),
        (f"/orders/{waiting}/", "Your order has been created"), (f"/orders/{paid}/", "Payment received"),
        ("/password/reset/", "Reset password"),
    ):  # fmt: skip
        shopper.go(path)
        shopper.sees(ready)
        expect(page.locator(".loading")).to_have_count(0)
        yield path
        if path == f"/courses/{course_id}/":
            shopper.button("Add to cart").click()
            expect(shopper.notice()).to_contain_text("Added to the cart")
            yield "a notice"
        if path == "/cart/":
            shopper.button("Check out").click()
            shopper.sees("To pay by Alipay")
            yield "the checkout"
        if path == f"/orders/{paid}/":
            page.get_by_text("Request a refund", exact=True).click()
            expect(page.locator("#refund-sum")).to_contain_text("You will get back")
            yield "a refund"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("shopper", [ENGLISH_PHONE], indirect=True)
def test_english_reader_finds_no_chinese_of_ours(
    shopper: Shopper, buyer: Buyer, shop: ShopStack, written: list[str]
) -> None:
    left = {
        place: found
        for place in pages(shopper, buyer, shop)
        if (found := chinese_left(shopper, written) + findings(shopper))
    }
    assert left == {}
    assert shopper.page.locator("html").get_attribute("lang") == "en"


@pytest.mark.parametrize("visitor", [ENGLISH_PHONE], indirect=True)
def test_english_stranger_finds_no_chinese_of_ours(visitor: Shopper, written: list[str]) -> None:
    left = {}
    for path, ready in (
        ("/login/?why=login", "Please log in. You will then"),
        ("/register/", "Register and log in"),
    ):
        visitor.go(path)
        visitor.sees(ready)
        left[path] = chinese_left(visitor, written) + findings(visitor)
    assert left == {path: [] for path in left}


def test_reader_chooses_the_language_and_stays_where_they_are(visitor: Shopper) -> None:
    visitor.go("/?search=redis")
    visitor.sees("找到 1 门课程")
    visitor.button("English").click()
    visitor.sees("1 course found")
    assert visitor.page.url.endswith("/?search=redis")
    visitor.go("/login/")
    visitor.page.fill("#username", "nobody")
    visitor.page.fill("#password", "wrong password")
    visitor.button("Log in").click()
    expect(visitor.page.locator("#login-error")).to_have_text("Wrong username or password.")
    visitor.button("中文").click()
    expect(visitor.page.locator("h1")).to_have_text("登录")


def test_chinese_page_loads_no_catalogue(browser: Browser, shop: ShopStack) -> None:
    for device, expected in ((DESKTOP, 0), (ENGLISH_DESKTOP, 1)):
        with Shopper.at(browser, shop, device, None) as someone:
            loaded: list[str] = []
            append = loaded.append
            someone.page.on("request", lambda request: append(request.url))  # noqa: B023 - called before the next round
            someone.go("/")
            assert sum("/js/locale/" in url for url in loaded) == expected
