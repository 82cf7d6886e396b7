"""Buyers who keep buying while parts of the shop fail, and what they notice."""

import hashlib
import secrets
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import httpx
import psycopg

from project.local.api_client import ApiClient, PurchaseError
from project.local.cashier import pay_at_cashier

# Failed calls are retried at this interval for this long: longer than a row's lease, after which another
# worker claims it.
AGAIN_S = 0.3
PATIENCE_S = 150.0
COURSE = "Redis 从用到懂"


@dataclass
class Noticed:
    """What the buyers of a case noticed."""

    seconds: list[float] = field(default_factory=list)  # from the first try to the enrolment
    errors: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds) if self.seconds else 0.0

    @property
    def slowest_s(self) -> float:
        return max(self.seconds, default=0.0)


class Crowd:
    """Concurrent buyers, each of whom buys one course after another until stopped. A context manager."""

    def __init__(self, url: str, usernames: list[str], password: str, body: dict[str, Any]) -> None:
        self.noticed = Noticed()
        self._stopped = threading.Event()
        self._url, self._password, self._body = url, password, body
        self._threads = [
            threading.Thread(target=self._buy_on, args=(name,), daemon=True) for name in usernames
        ]

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Waits until everybody has finished their purchase."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(PATIENCE_S * 2)

    def wait_for(self, purchases: int, timeout_s: float = PATIENCE_S) -> bool:
        """Whether this many more purchases are completed in time."""
        wanted, deadline = len(self.noticed.seconds) + purchases, time.monotonic() + timeout_s
        while len(self.noticed.seconds) < wanted and time.monotonic() < deadline:
            time.sleep(0.1)
        return len(self.noticed.seconds) >= wanted

    def _buy_on(self, username: str) -> None:
        with ApiClient(self._url, timeout_s=30) as api:
            self._insist(lambda: api.log_in(username, self._password))
            while not self._stopped.is_set():
                self._buy(api)

    def _buy(self, api: ApiClient) -> None:
        key, started = str(uuid.uuid4()), time.monotonic()
        try:
            number = str(
                self._insist(
                    lambda: api.post("orders/", self._body, **{"Idempotency-Key": key})["order_number"]
                )
            )
        except PurchaseError:
            return  # it was never accepted, so it can't be lost
        self.noticed.accepted.append(number)
        try:
            self._insist(lambda: _finish(api, number))
        except PurchaseError:
            self.noticed.lost.append(number)
            return
        self.noticed.seconds.append(time.monotonic() - started)

    def _insist(self, deed: Callable[[], Any]) -> Any:
        """Retries until it works. Raises: PurchaseError after the timeout."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return deed()
            except (PurchaseError, httpx.HTTPError) as error:
                self.noticed.errors.append(f"{type(error).__name__}: {error}"[:160])
                if time.monotonic() > deadline:
                    raise PurchaseError(str(error)) from error
                time.sleep(AGAIN_S)


def _finish(api: ApiClient, number: str) -> None:
    """Takes the order from any state to paid."""
    order = api.follow_order(number, while_status={"pending"}, timeout_s=PATIENCE_S)
    if order["status"] == "awaiting_payment":
        if order["pay_url"]:  # not while the shop is confirming a payment
            pay_at_cashier(order["pay_url"])
        order = api.follow_order(number, while_status={"awaiting_payment"}, timeout_s=PATIENCE_S)
    if order["status"] != "paid":
        raise PurchaseError(f"order {number} is {order['status']}")


def add_buyers(database_url: str, count: int) -> list[str]:
    """New accounts with the demo's password."""
    names = [f"scale-{secrets.token_hex(4)}" for _ in range(count)]
    with psycopg.connect(database_url) as connection:
        for name in names:
            connection.execute(
                """
                INSERT INTO shop_account
                    (username, password, balance, held_balance, is_superuser, is_staff, is_active,
                    first_name, last_name, email, date_joined)
                SELECT %s, password, 0, 0, false, false, true, '', '', '', now() FROM shop_account
                WHERE username = 'buyer1'
                """,
                [name],
            )
    return names


def add_tokens(database_url: str, names: Sequence[str]) -> list[str]:
    """A token for each account, without hashing a password."""
    tokens = {name: secrets.token_hex(32) for name in names}
    with psycopg.connect(database_url) as connection:
        for name, token in tokens.items():
            connection.execute(
                """
                INSERT INTO knox_authtoken (digest, token_key, user_id, created, expiry)
                SELECT %s, %s, id, now(), now() + interval '1 day' FROM shop_account WHERE username = %s
                """,
                [hashlib.sha512(token.encode()).hexdigest(), token[:15], name],
            )
    return list(tokens.values())


def simple_body(database_url: str) -> dict[str, Any]:
    """An order of one course for a month, which may be placed repeatedly."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            """
            SELECT course.id, policy.id, policy.price FROM shop_course course
            JOIN shop_pricepolicy policy ON policy.course_id = course.id
            WHERE course.name = %s AND policy.valid_period = 30
            """,
            [COURSE],
        ).fetchone()
    assert row is not None
    line = {"course_id": row[0], "policy_id": row[1], "coupon_record_id": 0}
    return {
        "course_price_list": [line],
        "coupon_record_id": 0,
        "balance": 0,
        "alipay": str(Decimal(row[2])),
        "buy_again": True,
    }
