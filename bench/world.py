"""The shop's contents: courses, coupons, and buyers with tokens. All by SQL, in a second.

The unit of work is the same everywhere: two courses (¥100.00 and ¥298.00), a course coupon of ¥20.00 on the first, a global coupon of 10 %,
30 贝里, the rest by Alipay. A buyer has one coupon of a campaign, so each order of a buyer has a pair of courses and campaigns of its own.
"""

import hashlib
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from bench.client import build_request
from bench.tables import insert, last_id, move_sequence
from shop.domain.pricing import CouponTerms, LineInput, Quote, price_order
from shop.states import CouponType

PAIRS = 5
BEILI = 30
GRANTED_BEILI = 100
PRICES = (Decimal("100.00"), Decimal("298.00"))
APP_ID, SELLER_ID = "2021000000000001", "2088000000000001"

Connection = psycopg.Connection[Any]


def unit_quote() -> Quote:
    """What the unit of work costs, by the shop's own rules: ¥310.20 in money."""
    lines = [LineInput(1, PRICES[0], CouponTerms(CouponType.FIXED, value=Decimal(20))), LineInput(2, PRICES[1])]
    return price_order(lines, CouponTerms(CouponType.PERCENT, off_percent=90), beili=BEILI, beili_per_yuan=1)


@dataclass(frozen=True)
class Buyer:
    """A buyer with a fresh token and fresh coupons for one unit of work."""

    account_id: int
    course_coupon_id: int
    global_coupon_id: int

    @property
    def token(self) -> str:
        return hashlib.md5(f"bench-{self.account_id}".encode()).hexdigest() * 2

    @property
    def authorization(self) -> tuple[str, str]:
        return "Authorization", f"Token {self.token}"

    def order_request(self, path: str, *, checkout_id: str | None = None) -> bytes:
        """The POST that orders the unit of work, agreeing to its exact amounts."""
        quote = unit_quote()
        body = {
            "course_price_list": [
                {"course_id": 1, "policy_id": 1, "coupon_record_id": self.course_coupon_id},
                {"course_id": 2, "policy_id": 2, "coupon_record_id": None},
            ],
            "coupon_record_id": self.global_coupon_id,
            "balance": quote.beili,
            "alipay": str(quote.cash_due),
        } | ({"checkout_id": checkout_id} if checkout_id else {})
        headers = [self.authorization, ("Content-Type", "application/json"), ("Idempotency-Key", f"bench-{self.account_id}")]
        return build_request("POST", path, headers=headers, body=json.dumps(body).encode())


def add_catalogue(connection: Connection) -> None:
    """Courses, policies and campaigns, once."""
    if last_id(connection, "shop_course"):
        return
    pairs = f"generate_series(1, {2 * PAIRS}) AS n"
    insert(
        connection, "shop_course", {"id": "n", "name": "'课程 ' || n", "course_img": "'/static/shop/covers/01.svg'", "position": "n"}, pairs
    )
    price = f"CASE WHEN n % 2 = 1 THEN {PRICES[0]} ELSE {PRICES[1]} END"
    insert(connection, "shop_pricepolicy", {"id": "n", "course_id": "n", "valid_period": "30", "price": price}, pairs)
    campaign = {
        "id": "n",
        "name": "'活动 ' || n",
        "coupon_type": "CASE WHEN n % 2 = 1 THEN 0 ELSE 2 END",
        "money_equivalent_value": "CASE WHEN n % 2 = 1 THEN 20 ELSE 0 END",
        "off_percent": "CASE WHEN n % 2 = 0 THEN 90 END",
        "scope": "CASE WHEN n % 2 = 1 THEN 'course' ELSE 'order' END",
        "course_id": "CASE WHEN n % 2 = 1 THEN n END",
        "quantity": "1000000000",
        "close_date": "current_date + 3650",
        "coupon_valid_days": "3650",
    }
    insert(connection, "shop_coupon", campaign, pairs)
    for table in ("shop_course", "shop_pricepolicy", "shop_coupon"):
        move_sequence(connection, table)


def add_buyers(connection: Connection, count: int) -> list[Buyer]:
    """Buyers who can each order one unit of work."""
    accounts, records = last_id(connection, "shop_account"), last_id(connection, "shop_couponrecord")
    connection.execute("SET session_replication_role = replica")  # balances and counts are written as they will be
    insert_accounts(connection, accounts, count, granted=GRANTED_BEILI, spent=0, held=0)
    record = {
        "id": f"{records} + n",
        "coupon_id": "1 + (n + 1) % 2",
        "account_id": f"{accounts} + (n + 1) / 2",
        "number": f"'B' || ({records} + n)",
        "status": "'unused'",
        "valid_until_date": "current_date + 365",
    }
    insert(connection, "shop_couponrecord", record, f"generate_series(1, {2 * count}) AS n")
    count_claims(connection, count, pairs=1)
    connection.execute("SET session_replication_role = origin")
    for table in ("shop_account", "shop_couponrecord", "shop_ledgertransfer"):
        move_sequence(connection, table)
    return [Buyer(accounts + n, records + 2 * n - 1, records + 2 * n) for n in range(1, count + 1)]


def insert_accounts(connection: Connection, after: int, count: int, *, granted: int, spent: int, held: int) -> None:
    """Accounts with the ids that follow `after`, each with a token and the 贝里 that it was granted, less what is spent or held."""
    series = f"generate_series({after + 1}, {after + count}) AS n"
    account = {
        "id": "n",
        "username": "'bench' || n",
        "password": "'!'",
        "is_active": "true",
        "balance": str(granted - spent - held),
        "held_balance": str(held),
    }
    insert(connection, "shop_account", account, series)
    token = "repeat(md5('bench-' || n), 2)"
    insert(
        connection,
        "knox_authtoken",
        {
            "digest": f"encode(sha512(convert_to({token}, 'UTF8')), 'hex')",
            "token_key": f"substr({token}, 1, 15)",
            "user_id": "n",
            "expiry": "now() + interval '3650 days'",
        },
        series,
    )
    transfers = last_id(connection, "shop_ledgertransfer")
    grant = {
        "id": f"{transfers} + n - {after}",
        "key": "'bench-grant:' || n",
        "debit": "'beili_issued'",
        "credit": "'beili_available'",
        "currency": "'BEILI'",
        "amount": str(granted),
        "account_id": "n",
    }
    insert(connection, "shop_ledgertransfer", grant, series)


def count_claims(connection: Connection, count: int, *, pairs: int) -> None:
    """Notes on the first `pairs` of campaigns that so many more of their coupons were claimed."""
    connection.execute("UPDATE shop_coupon SET claimed_count = claimed_count + %s WHERE id <= %s", [count, 2 * pairs])
