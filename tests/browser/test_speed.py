"""How soon pages load on a phone with a slow connection, and how much they shift: Chrome's metrics under
Lighthouse's "slow 4G".
"""

import os
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Response, expect

from project.local.waiting import wait_until
from tests.browser.shopper import ENGLISH_PHONE, PHONE, Shopper
from tests.journeys.shopping import Buyer
from tests.variants import first_of

COURSE = "Redis 从用到懂"
# Lighthouse's slow 4G: 1.6 Mbit/s down, 0.75 up, 150 ms round trip. `LATENCY_MS=562` is what Chrome's preset
# of that name adds to each request.
SLOW_4G = {
    "offline": False,
    "latency": float(os.environ.get("LATENCY_MS", "150")),
    "downloadThroughput": 204_800,
    "uploadThroughput": 96_000,
}
MAX_LCP_MS, MAX_CLS = 2500, 0.05
# Records what the page has shown, from before its first byte.
OBSERVE = """
    window.shown = { lcp: 0, cls: 0 };
    const observe = (each) => new PerformanceObserver((list) => list.getEntries().forEach(each));
    observe((entry) => (window.shown.lcp = entry.startTime))
        .observe({ type: "largest-contentful-paint", buffered: true });
    observe((entry) => entry.hadRecentInput || (window.shown.cls += entry.value))
        .observe({ type: "layout-shift", buffered: true });
"""
# Only those on the screen: others load when they are scrolled into view.
PICTURES_ARE_THERE = (
    "[...document.images].every((image) => image.complete || image.getBoundingClientRect().top > innerHeight)"
)


def slow_down(shopper: Shopper) -> None:
    """Disables the cache and slows the connection down."""
    session: CDPSession = shopper.page.context.new_cdp_session(shopper.page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    session.send("Network.emulateNetworkConditions", SLOW_4G)
    shopper.page.add_init_script(OBSERVE)


@pytest.mark.parametrize("shopper", first_of(PHONE, ENGLISH_PHONE), indirect=True)
def test_pages_are_there_soon_and_stay_put(shopper: Shopper, buyer: Buyer) -> None:
    course_id, *_ = buyer.fill_cart(COURSE, "Python 开发入门")
    checkout = buyer.check_out([course_id])["checkout_id"]
    order_number = buyer.buy("前端三件套")
    slow_down(shopper)
    measured: dict[str, tuple[float, float]] = {}
    for name, path, ready in (
        ("courses", "/", ".cards .cover"), ("course", f"/courses/{course_id}/", "#buy"),
        ("cart", "/cart/", ".paybar"),
        ("checkout", f"/checkout/{checkout}/", "#submit"), ("order", f"/orders/{order_number}/", ".paybar"),
        ("orders", "/orders/", ".order"),
    ):  # fmt: skip
        shopper.go(path)
        expect(shopper.page.locator(ready).first).to_be_visible()
        assert wait_until(lambda: bool(shopper.page.evaluate(PICTURES_ARE_THERE)), timeout_s=15)
        shopper.page.wait_for_timeout(300)
        shown: Any = shopper.page.evaluate("window.shown")
        measured[name] = (round(shown["lcp"]), round(shown["cls"], 3))
    print(measured)
    assert {page: lcp for page, (lcp, _) in measured.items() if not 0 < lcp < MAX_LCP_MS} == {}
    assert {page: cls for page, (_, cls) in measured.items() if cls >= MAX_CLS} == {}


def test_static_files_are_hashed_compressed_and_kept(visitor: Shopper) -> None:
    answers: list[Response] = []
    visitor.page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 - Playwright marks what it calls
    visitor.go("/login/")
    visitor.page.wait_for_load_state("networkidle")
    static = [answer for answer in answers if "/static/shop/" in answer.url]
    assert len(static) >= 8
    for answer in static:
        assert answer.headers["cache-control"] == "max-age=315360000, public, immutable", answer.url
        assert len(answer.url.rsplit("/", 1)[1].split(".")) == 3, answer.url  # name.digest.js
    compressed = {
        answer.url.rsplit("/", 1)[1].split(".")[0]
        for answer in static
        if answer.headers.get("content-encoding") == "gzip"
    }
    assert {"shop", "api", "dom"} <= compressed


@pytest.mark.parametrize("path", ["/", "/courses/1/", "/cart/", "/orders/", "/me/"])
def test_scripts_are_asked_for_at_once(shopper: Shopper, path: str) -> None:
    """The page names every script that it imports, so none is discovered by loading another one."""
    answers: list[Response] = []
    shopper.page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108
    shopper.go(path)
    shopper.page.wait_for_load_state("networkidle")
    html = shopper.page.request.get(f"{shopper.origin}{path}").text()
    scripts = {answer.url.removeprefix(shopper.origin) for answer in answers if answer.url.endswith(".js")}
    assert len(scripts) >= 4
    assert {script for script in scripts if f'"{script}"' not in html} == set()
