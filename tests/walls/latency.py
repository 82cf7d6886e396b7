"""What an honest buyer waits while something else goes on: /healthz, the courses, a poll of an order, and an
order.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Latencies:
    """Milliseconds of one kind of request; those that failed count with the time until they did."""

    name: str
    ms: tuple[float, ...]
    failed: int

    def at(self, share: float) -> float:
        ordered = sorted(self.ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Honest:
    """A logged-in buyer with an order to poll.

    Every request has a connection of its own, as a new visitor's has.
    """

    def __init__(self, url: str, *, username: str, password: str, verify: bool = True) -> None:
        self._http = httpx.Client(
            base_url=url,
            timeout=PATIENCE_S,
            trust_env=False,
            verify=verify,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        answer = self._http.post("/api/v1/auth/login/", json={"username": username, "password": password})
        self._token = {"Authorization": f"Token {answer.raise_for_status().json()['data']['token']}"}
        courses = self._http.get("/api/v1/courses/").raise_for_status().json()["data"]["results"]
        course = self._http.get(f"/api/v1/courses/{courses[0]['id']}/").raise_for_status().json()["data"]
        self._line = {
            "course_id": course["id"],
            "policy_id": course["price_policy_list"][0]["id"],
            "coupon_record_id": 0,
        }
        self._price = course["price_policy_list"][0]["price"]
        self._order = self._place().raise_for_status().json()["data"]["order_number"]

    def close(self) -> None:
        self._http.close()

    def kinds(self, *, orders: bool = True) -> dict[str, Callable[[], httpx.Response]]:
        kinds: dict[str, Callable[[], httpx.Response]] = {
            "/healthz": lambda: self._http.get("/healthz"),
            "courses/": lambda: self._http.get("/api/v1/courses/"),
            "poll": lambda: self._http.get(f"/api/v1/orders/{self._order}/", headers=self._token),
        }
        return kinds | ({"order": self._place} if orders else {})

    def ask_order(self, tag: str) -> httpx.Response:
        """Whether the order has changed since the answer with this tag."""
        return self._http.get(f"/api/v1/orders/{self._order}/", headers=self._token | {"If-None-Match": tag})

    def measure(self, *, rounds: int, pause_s: float = 0.0, orders: bool = True) -> list[Latencies]:
        """Asks each kind in turn, `rounds` times."""
        taken: dict[str, list[float]] = {}
        failed: dict[str, int] = {}
        for _ in range(rounds):
            for name, ask in self.kinds(orders=orders).items():
                started = time.perf_counter()
                try:
                    is_good = ask().status_code in {200, 202}
                except httpx.HTTPError:
                    is_good = False
                taken.setdefault(name, []).append(1000 * (time.perf_counter() - started))
                failed[name] = failed.get(name, 0) + (not is_good)
            time.sleep(pause_s)
        return [Latencies(name, tuple(ms), failed[name]) for name, ms in taken.items()]

    def _place(self) -> httpx.Response:
        body = {"course_price_list": [self._line], "coupon_record_id": 0, "balance": 0, "alipay": self._price}
        return self._http.post(
            "/api/v1/orders/", json=body, headers=self._token | {"Idempotency-Key": str(uuid.uuid4())}
        )


@contextmanager
def honest(url: str, *, username: str, password: str, verify: bool = True) -> Iterator[Honest]:
    buyer = Honest(url, username=username, password=password, verify=verify)
    try:
        yield buyer
    finally:
        buyer.close()
