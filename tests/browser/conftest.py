"""One browser and one running shop for all tests, and a context (a person with their own device) for each
test.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from project.local.state import ROOT
from tests.browser.shopper import DESKTOP, Device, Shopper
from tests.journeys.conftest import repair
from tests.journeys.shopping import Buyer, new_buyer
from tests.nodes.shop_stack import ShopStack, build_shop_stack

# The headless shell has no windows to manage and starts twice as fast.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
# No page needs the internet, and the browser's own services aren't wanted. Pages of one shop need no process
# isolation.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--in-process-gpu",
    "--renderer-process-limit=1",
    "--disable-site-isolation-trials",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.journey)
            # The staff's pages take as long as all others, so a test process and a shop of their own halve
            # the time.
            item.add_marker(
                pytest.mark.xdist_group("browser-desk" if "desk" in item.path.name else "browser")
            )
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(120))


# The browser's event loop would keep other tests from using the ORM, so the browser is closed after this
# folder's last test.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(
            "needs Chromium: `apt-get install chromium-headless-shell fonts-noto-cjk`, or "
            "CHROMIUM=/path/to/chromium"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def served_shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopStack]:
    folder = tmp_path_factory.mktemp("browser")
    # A query makes up for a lost notification. Tests that make queries fail need frequent ones.
    extra = {
        "PAYMENT_QUERY_INTERVAL_S": "1",
        "STATIC_ROOT": str(folder / "static"),
        "WHITENOISE_USE_FINDERS": "false",
    }
    stack = build_shop_stack(folder / "shop", extra_env=extra)
    # Static files of storefront and desk, as a deployed shop serves them.
    others = [f"--ignore={name}" for name in ("rest_framework", "drf_spectacular_sidecar")]
    collect = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0", *others]
    subprocess.run(collect, cwd=ROOT, env=stack.env, check=True)
    with stack.running():
        yield stack


@pytest.fixture
def shop(served_shop: ShopStack) -> Iterator[ShopStack]:
    """The running shop, repaired after each test."""
    yield served_shop
    repair(served_shop)


@pytest.fixture
def buyer(shop: ShopStack) -> Buyer:
    return new_buyer(shop, beili=200)


@pytest.fixture
def shopper(
    browser: Browser, shop: ShopStack, buyer: Buyer, request: pytest.FixtureRequest
) -> Iterator[Shopper]:
    """The logged-in buyer, on the test's `device` or else on a computer."""
    device: Device = getattr(request, "param", DESKTOP)
    with Shopper.at(browser, shop, device, buyer) as someone:
        yield someone
        assert someone.errors == []


@pytest.fixture
def visitor(browser: Browser, shop: ShopStack, request: pytest.FixtureRequest) -> Iterator[Shopper]:
    """An anonymous visitor, on the test's `device` or else on a computer."""
    device: Device = getattr(request, "param", DESKTOP)
    with Shopper.at(browser, shop, device, None) as someone:
        yield someone
        assert someone.errors == []


def pytest_make_parametrize_id(val: Any) -> str | None:
    return val.name if isinstance(val, Device) else None
