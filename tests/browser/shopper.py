"""A person with a device."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, expect

from tests.journeys.shopping import Buyer
from tests.nodes.shop_stack import ShopStack

PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)


@dataclass(frozen=True)
class Device:
    name: str
    width: int
    height: int
    user_agent: str | None = None
    is_mobile: bool = False
    locale: str = "zh-CN"


DESKTOP = Device("1280", 1280, 800)
PHONE = Device(
    "390",
    390,
    844,
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.0 Mobile/15E148 Safari/604.1",
    is_mobile=True,
)
ENGLISH_DESKTOP = replace(DESKTOP, name="1280-en", locale="en-US")
ENGLISH_PHONE = replace(PHONE, name="390-en", locale="en-US")


def open_context(browser: Browser, device: Device) -> BrowserContext:
    """A browser's window on the device, without cookies."""
    size: Any = {"width": device.width, "height": device.height}
    context = browser.new_context(
        viewport=size,
        user_agent=device.user_agent,
        is_mobile=device.is_mobile,
        has_touch=device.is_mobile,
        locale=device.locale,
    )
    context.set_default_timeout(PATIENCE_MS)
    return context


@dataclass
class Shopper:
    """A page of the shop, with the browser's error messages and each request that it sent to the API."""

    page: Page
    shop: ShopStack
    buyer: Buyer | None
    origin: str = ""
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def at(
        cls, browser: Browser, shop: ShopStack, device: Device, buyer: Buyer | None, *, origin: str = ""
    ) -> Iterator["Shopper"]:
        """`origin` is the shop's address, unless it is the web process itself."""
        context = open_context(browser, device)
        if buyer is not None:
            # As the login page leaves them.
            token = str(buyer.api.http.headers["Authorization"]).removeprefix("Token ")
            context.add_init_script(
                f"if (location.origin === '{origin or shop.web_url}' && !localStorage.getItem('shop.token')) "
                f"{{ localStorage.setItem('shop.token', '{token}');"
                " localStorage.setItem('shop.username', 'buyer'); }"
            )
        try:
            yield cls.on(context.new_page(), shop, buyer, origin=origin)
        finally:
            context.close()

    @classmethod
    def on(cls, page: Page, shop: ShopStack, buyer: Buyer | None, *, origin: str = "") -> "Shopper":
        someone = cls(page, shop, buyer, origin or shop.web_url)
        page.on("pageerror", lambda error: someone.errors.append(str(error)))
        page.on("console", someone._hear)
        page.on("request", someone._count)
        page.on("dialog", lambda dialog: dialog.accept())
        return someone

    def _hear(self, message: ConsoleMessage) -> None:
        # The browser logs each refused or lost request. Tests check how the page handles them.
        if (
            message.type == "error"
            and "Failed to load resource" not in message.text
            and "net::ERR" not in message.text
        ):
            self.errors.append(message.text)

    def _count(self, request: Request) -> None:
        if "/api/v1/" in request.url:
            self.requests.append(f"{request.method} {request.url.split('/api/v1/')[1]}")

    def go(self, path: str) -> None:
        self.page.goto(f"{self.origin}{path}")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name)

    def sees(self, text: str) -> None:
        """Waits a moment for the text."""
        expect(self.page.locator("main").get_by_text(text).first).to_be_visible()

    def misses(self, text: str) -> None:
        expect(self.page.locator("main").get_by_text(text)).to_have_count(0)

    def notice(self) -> Locator:
        """The notice, which must be in view without scrolling."""
        notice = self.page.locator("#notices .notice")
        expect(notice).to_be_in_viewport(ratio=0.99)
        return notice

    def focused(self) -> str:
        """The focused element: its tag and its accessible name."""
        return str(
            self.page.evaluate(
                "() => { const it = document.activeElement; return `${it.tagName} ${it.id || "
                "it.getAttribute('aria-label') || it.textContent.trim()}`; }"
            )
        )

    def add_to_cart(self, course: str) -> None:
        self.go("/")
        self.link(course).click()
        self.button("加入购物车").click()
        self.sees("已加入购物车")

    def check_out(self) -> None:
        """From the cart to an order; leaves the shopper on its page."""
        self.go("/cart/")
        self.button("去结算").click()
        self.button("提交订单").click()
        self.page.wait_for_url("**/orders/*/")

    def pay_at_cashier(self) -> None:
        """At Alipay's cashier: logs in, confirms, and comes back."""
        self.page.wait_for_url(f"{self.shop.simulator_url}/**")
        self.page.get_by_role("button", name="模拟手机扫码").click()
        self.page.get_by_role("button", name="确认付款").click()
        self.page.wait_for_url(f"{self.shop.web_url}/orders/**")
