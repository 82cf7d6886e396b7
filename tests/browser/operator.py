"""A member of staff who uses the desk."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from tests.browser.shopper import Device, Shopper, open_context
from tests.nodes.shop_stack import ShopStack

# The folder for screenshots of the pages; without it none are taken.
PICTURES = os.environ.get("DESK_PICTURES", "")


class Operator(Shopper):
    """Finds things by the desk's texts, as a person does: from the dashboard, by links, forms and buttons."""

    @classmethod
    @contextmanager
    def at_desk(cls, browser: Browser, shop: ShopStack, device: Device) -> Iterator["Operator"]:
        context = open_context(browser, device)
        try:
            someone = cls(context.new_page(), shop, None, shop.web_url)
            someone.page.on("pageerror", lambda error: someone.errors.append(str(error)))
            someone.page.on("console", someone._hear)
            someone.go("/admin/login/?next=/admin/")
            someone.page.fill("#id_username", "operator")
            someone.page.fill("#id_password", shop.env["DEMO_PASSWORD"])
            someone.page.locator("#login-form button[type=submit]").click()
            expect(
                someone.page.get_by_role("heading", name=re.compile("等人处理|Waiting for staff"))
            ).to_be_visible()
            yield someone
        finally:
            context.close()

    def open_dashboard(self) -> None:
        self.go("/admin/")

    def open_figure(self, title: str) -> None:
        """Follows a dashboard figure that isn't zero to its list."""
        self.open_dashboard()
        figure = self.page.locator("a.desk-figure", has_text=title)
        expect(figure.locator("strong")).not_to_have_text("0")
        figure.click()

    def wait_for_figure(self, title: str) -> None:
        """Waits for the figure to rise, which takes a worker a moment."""
        for _ in range(40):
            self.open_dashboard()
            if self.page.locator("a.desk-figure", has_text=title).locator("strong").inner_text() != "0":
                return
            self.page.wait_for_timeout(500)
        raise AssertionError(f"{title} stays at zero")

    def search_for(self, text: str) -> None:
        self.open_dashboard()
        self.page.get_by_role("search").get_by_role("textbox").fill(text)
        self.page.get_by_role("search").get_by_role("button", name="查找").click()

    def do(self, deed: str, **fields: str) -> None:
        """Opens the deed's page, fills in its form and submits it. `courses` and boxes are ticked."""
        self.page.get_by_role("link", name=deed, exact=True).first.click()
        self.confirm(deed, **fields)

    def confirm(self, deed: str, **fields: str) -> None:
        for name, value in fields.items():
            field = self.page.locator(f"[name={name}]")
            kind = field.first.evaluate("it => it.tagName === 'SELECT' ? 'select' : it.type")
            if kind == "checkbox":
                field.first.check()
            elif kind == "select":
                field.select_option(label=value)
            else:
                field.fill(value)
        self.picture(f"deed-{deed}")
        self.page.locator("main").get_by_role("button", name=deed).click()

    def told(self, text: str) -> None:
        """Expects this message at the top of the page."""
        expect(self.page.locator("#main").get_by_text(text).first).to_be_visible()

    def wait_for(self, text: str) -> None:
        """Reloads the page until it shows the text."""
        for _ in range(40):
            if self.page.locator("#main").get_by_text(text).count():
                return
            self.page.wait_for_timeout(500)
            self.page.reload()
        raise AssertionError(f"{self.page.url} never says {text}")

    def picture(self, name: str) -> None:
        take_picture(self.page, name)


def take_picture(page: Page, name: str) -> None:
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        page.wait_for_load_state("networkidle")
        width = page.viewport_size["width"] if page.viewport_size else 0
        page.screenshot(path=f"{PICTURES}/{name}-{width}.png", full_page=True)
