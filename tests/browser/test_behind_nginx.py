"""How often an order's page polls behind Debian's nginx, which compresses responses and so makes every ETag
weak.

`WATCH_S=60` measures for a minute.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from project.local.ports import find_free_port, is_listening
from project.local.waiting import wait_until
from tests.browser.shopper import DESKTOP, Shopper
from tests.browser.test_money_in_doubt import without_orders_being_made
from tests.journeys.shopping import Buyer, simple_body
from tests.nodes.shop_stack import ShopStack

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx: `apt-get install nginx-light`")
WATCH_S = float(os.environ.get("WATCH_S", "2"))

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip on;
    gzip_proxied any;
    gzip_min_length 0;
    gzip_types application/json;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {shop};
            proxy_set_header Host $host;
            proxy_read_timeout 60s;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    url: str
    log: Path

    def order_requests(self) -> int:
        return sum(" /api/v1/orders/" in line for line in self.log.read_text().splitlines())


@pytest.fixture
def nginx(shop: ShopStack, tmp_path: Path) -> Iterator[Nginx]:
    port = find_free_port()
    (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(folder=tmp_path, port=port, shop=shop.web_url))
    process = subprocess.Popen(
        [str(NGINX), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "error.log")]
    )
    try:
        assert wait_until(lambda: is_listening(port), timeout_s=10)
        yield Nginx(f"http://127.0.0.1:{port}", tmp_path / "access.log")
    finally:
        process.terminate()
        process.wait(10)


PAGES: dict[str, tuple[Callable[[Buyer], str], float]] = {
    "awaiting payment": (lambda buyer: buyer.buy(), 6),
    "paid": (lambda buyer: buyer.buy_paid()[0], 0),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("life", [*PAGES, "pending"])
def test_page_asks_seldom(browser: Browser, nginx: Nginx, buyer: Buyer, shop: ShopStack, life: str) -> None:
    with Shopper.at(browser, shop, DESKTOP, buyer, origin=nginx.url) as shopper:
        if life == "pending":
            with without_orders_being_made(shop, buyer):
                per_minute = watch(shopper, nginx, buyer.place(simple_body(shop)))
        else:
            per_minute = watch(shopper, nginx, PAGES[life][0](buyer))
        assert shopper.errors == []
    print(f"{life}: {per_minute:.0f} requests a minute")
    # A held request lasts 20 s. One that comes within the watch counts as many times as the watch fits into a
    # minute.
    assert per_minute <= (0 if life == "paid" else 6 + 60 / WATCH_S)


def watch(shopper: Shopper, nginx: Nginx, order_number: str) -> float:
    """Requests per minute of the order's page, counted from shortly after it was opened."""
    shopper.go(f"/orders/{order_number}/")
    shopper.sees("金额")
    shopper.page.wait_for_timeout(1000)
    before = nginx.order_requests()
    shopper.page.wait_for_timeout(WATCH_S * 1000)
    return (nginx.order_requests() - before) * 60 / WATCH_S
