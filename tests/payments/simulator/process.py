"""Starts the real process and calls it."""

import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.payments.simulator.shop import GatewayAliPay

ROOT = Path(__file__).resolve().parents[3]
APP_ID = "2021000000000001"
SELLER_ID = "2088000000000001"


@dataclass(eq=False)
class Simulator:
    """A running simulator."""

    state: Path
    arguments: tuple[str, ...] = ()
    url: str = ""
    http: httpx.Client = field(default_factory=lambda: httpx.Client(trust_env=False, timeout=10))
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "payments.simulator",
            "serve",
            "--state",
            str(self.state),
            "--port",
            "0",
            *self.arguments,
        ]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        match = re.search(r"http://[\d.]+:\d+", line)
        assert match is not None, line
        self.url = match[0]
        self.http.base_url = self.url
        Simulator.sdk.cache_clear()

    def add_merchant(self, app_id: str, seller_id: str) -> None:
        """Registers another merchant with keys of its own; also while it runs."""
        command = [
            sys.executable,
            "-m",
            "payments.simulator",
            "init",
            "--state",
            str(self.state),
            "--app-id",
            app_id,
            "--seller-id",
            seller_id,
        ]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Returns the seconds it took."""
        assert self.process is not None
        assert self.process.stdout is not None
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout=10)
        self.process.stdout.close()
        return time.monotonic() - started

    @lru_cache  # noqa: B019 -- few of these live, and building a client costs more than most tests
    def sdk(self, app_id: str = APP_ID) -> GatewayAliPay:
        folder = self.state / "keys" / app_id
        keys = {name: (folder / f"{name}_key.pem").read_text() for name in ("app_private", "alipay_public")}
        return GatewayAliPay(keys, f"{self.url}/gateway.do", app_id)

    def control(self, verb: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        response = (
            self.http.request(verb, f"/control{path}", json=body)
            if body is not None
            else self.http.request(verb, f"/control{path}")
        )
        assert response.status_code in {status, 201 if status == 200 else status}, response.text
        return response.json()

    def order(self, out_trade_no: str) -> Any:
        return self.control("GET", f"/trades/{out_trade_no}")

    def fault(self, kind: str, **rule: Any) -> int:
        return int(self.control("POST", "/faults", {"kind": kind, **rule})["fault_id"])

    def advance(self, seconds: float, *, walk: bool = True) -> None:
        self.control("POST", "/clock/advance", {"seconds": seconds, "walk": walk})

    def freeze(self) -> None:
        self.control("PUT", "/clock", {"scale": 0})

    def show_page(self, query: str) -> str:
        """Opens a pay URL as a browser does and returns the cashier's address."""
        response = self.http.get(f"/gateway.do?{query}")
        assert response.status_code == 302, response.content.decode("gbk", "replace")
        return response.headers["location"]

    def open_order(self, out_trade_no: str, **changes: Any) -> str:
        """Requests a page payment and returns the cashier's address."""
        pay = {
            "subject": "微服务",
            "total_amount": "19.90",
            "return_url": "http://shop.test/return",
            "notify_url": None,
            **changes,
        }
        return self.show_page(self.sdk().api_alipay_trade_page_pay(out_trade_no=out_trade_no, **pay))

    def pay_order(self, out_trade_no: str, **changes: Any) -> httpx.Response:
        """Requests a page payment and pays at the cashier."""
        cashier = self.open_order(out_trade_no, **changes)
        self.http.post(f"{cashier}/login", data={"account": "buyer@example.com"})
        return self.http.post(f"{cashier}/pay")


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
