"""One browser and one served shop for all of them; a context (a person with a device of their own) for each
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

# The shell has no windows to keep, and takes half as long.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
# No page here needs the internet, and none of the browser's own services is wanted. One shop's pages need no
# processes of their own to be safe from each other.
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
            # Staff's pages take as long as all others: a process of their own, with a shop of its own, halves
            # the time.
            item.add_marker(
                pytest.mark.xdist_group("browser-desk" if "desk" in item.path.name else "browser")
            )
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(120))


# Its event loop would be in the way of the ORM in other tests: the browser is closed as soon as the last test
# of this folder is done.
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
    # A notification that gets lost is made up for by a query, so the queries that a test wants to fail are
    # all the more frequent.
    extra = {
        "PAYMENT_QUERY_INTERVAL_S": "1",
        "STATIC_ROOT": str(folder / "static"),
        "WHITENOISE_USE_FINDERS": "false",
    }
    stack = build_shop_stack(folder / "shop", extra_env=extra)
    # Static files as they are served by a shop that is deployed: the storefront's and the desk's.
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
    """The buyer, logged in, at the device that the test asks for (`device`), else at a computer."""
    device: Device = getattr(request, "param", DESKTOP)
    with Shopper.at(browser, shop, device, buyer) as someone:
        yield someone
        assert someone.errors == []


@pytest.fixture
def visitor(browser: Browser, shop: ShopStack, request: pytest.FixtureRequest) -> Iterator[Shopper]:
    """Somebody who hasn't logged in, at the device that the test asks for, else at a computer."""
    device: Device = getattr(request, "param", DESKTOP)
    with Shopper.at(browser, shop, device, None) as someone:
        yield someone
        assert someone.errors == []


def pytest_make_parametrize_id(val: Any) -> str | None:
    return val.name if isinstance(val, Device) else None
