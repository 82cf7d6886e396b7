"""Seeds catalogue and buyers by SQL, in the schema of any checkout, and unpaid orders over HTTP.

Every order is the same: two courses (¥100.00 and ¥298.00), a course coupon of ¥20.00 on the first, a global
coupon of 10 %, 30 贝里, and the rest by Alipay: ¥310.20.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from bench.client import build_request
from bench.stage import Stage

ORDERS, REQUESTS = "/api/v1/orders/", "shop_orderrequest"
BEILI, GRANTED_BEILI, CASH = 30, 100, "310.20"
# Values for columns that are required, have no default and don't matter here.
_EMPTY = {
    **dict.fromkeys(("bigint", "integer", "smallint", "numeric"), "0"), "boolean": "false", "jsonb": "'{}'",
    **dict.fromkeys(("timestamp with time zone", "date"), "now()"), "character varying": "''", "text": "''",
}  # fmt: skip
_COLUMNS = """
    SELECT column_name, data_type, is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
    FROM information_schema.columns WHERE table_name = %s
"""


@dataclass(frozen=True)
class Buyer:
    """A buyer with a token, and with the coupons for one order."""

    account_id: int
    course_coupon_id: int = 0
    global_coupon_id: int = 0

    @property
    def authorization(self) -> tuple[str, str]:
        return "Authorization", f"Token {hashlib.md5(f'bench-{self.account_id}'.encode()).hexdigest() * 2}"

    def get(self, path: str, *headers: tuple[str, str]) -> bytes:
        return build_request("GET", path, headers=[self.authorization, *headers])

    def post(self, path: str, body: Mapping[str, object], *headers: tuple[str, str]) -> bytes:
        sent = [self.authorization, ("Content-Type", "application/json"), *headers]
        return build_request("POST", path, headers=sent, body=json.dumps(body).encode())

    def order(self, path: str = ORDERS, *, checkout_id: str | None = None) -> bytes:
        """The POST that places the order, with its exact amounts."""
        body: dict[str, object] = {
            "course_price_list": [
                {"course_id": 1, "policy_id": 1, "coupon_record_id": self.course_coupon_id},
                {"course_id": 2, "policy_id": 2, "coupon_record_id": None},
            ],
        }
        body |= {"coupon_record_id": self.global_coupon_id, "balance": BEILI, "alipay": CASH}
        body |= {"checkout_id": checkout_id} if checkout_id else {}
        return self.post(path, body, ("Idempotency-Key", f"bench-{self.account_id}"))


@dataclass(frozen=True)
class OpenOrder:
    order_number: str
    buyer: Buyer
    out_trade_no: str


def seed_catalogue(stage: Stage) -> None:
    both = "generate_series(1, 2) AS n"
    image = "'/static/shop/covers/01.svg'"
    _insert(stage, "shop_course", both, id="n", name="'课程 ' || n", course_img=image, position="n")
    _insert(stage, "shop_pricepolicy", both, id="n", course_id="n", valid_period="30", price="198 * n - 98")
    campaign = {
        "id": "n", "name": "'活动 ' || n", "scope": "CASE n WHEN 1 THEN 'course' ELSE 'order' END",
        "course_id": "CASE n WHEN 1 THEN 1 END", "coupon_type": "2 * (n - 1)",
        "money_equivalent_value": "20 * (2 - n)", "off_percent": "CASE n WHEN 2 THEN 90 END",
        "quantity": "1000000000", "close_date": "current_date + 3650", "coupon_valid_days": "3650",
    }  # fmt: skip
    _insert(stage, "shop_coupon", both, **campaign)


def seed_buyers(stage: Stage, count: int) -> list[Buyer]:
    """Inserts new buyers who can place one order each, and updates PostgreSQL's statistics."""
    # Without triggers: the totals that they maintain are inserted, too.
    stage.connection.execute("SET session_replication_role = replica")
    buyer = {"username": "'bench-' || gen_random_uuid()", "password": "'!'", "is_active": "true"}
    numbers, balance = f"generate_series(1, {count}) AS n", str(GRANTED_BEILI)
    first = _insert(stage, "shop_account", numbers, **buyer, balance=balance)
    accounts = f"generate_series({first}, {first + count - 1}) AS n"
    seed_tokens(stage, accounts)
    grant = {
        "key": "'bench-grant:' || n", "account_id": "n", "amount": str(GRANTED_BEILI), "currency": "'BEILI'",
        "debit": "'beili_issued'", "credit": "'beili_available'",
    }  # fmt: skip
    _insert(stage, "shop_ledgertransfer", accounts, **grant)
    record = {
        "account_id": "n", "coupon_id": "campaign", "number": "'B' || n || '-' || campaign",
        "status": "'unused'", "valid_until_date": "current_date + 365",
    }  # fmt: skip
    pairs = f"{accounts}, generate_series(1, 2) AS campaign ORDER BY n, campaign"
    coupon = _insert(stage, "shop_couponrecord", pairs, **record)
    stage.connection.execute("UPDATE shop_coupon SET claimed_count = claimed_count + %s", [count])
    stage.connection.execute("SET session_replication_role = origin")
    stage.vacuum()
    return [Buyer(first + place, coupon + 2 * place, coupon + 2 * place + 1) for place in range(count)]


def seed_tokens(stage: Stage, accounts: str) -> None:
    """Inserts a token for each account that the FROM clause `accounts` yields as `n`."""
    token = "repeat(md5('bench-' || n), 2)"
    digest, key = f"encode(sha512(convert_to({token}, 'UTF8')), 'hex')", f"substr({token}, 1, 15)"
    until = "now() + interval '9 years'"
    _insert(stage, "knox_authtoken", accounts, digest=digest, token_key=key, user_id="n", expiry=until)


def _insert(stage: Stage, table: str, source: str, **values: str) -> int:
    """INSERT … SELECT of SQL expressions by column over the FROM clause `source`. Leaves out columns that the
    table doesn't have and fills in other required ones. Returns the lowest id, if the table has ids.
    """
    columns = stage.rows(_COLUMNS, table)
    names = {name for name, _, _ in columns}
    chosen = {name: expression for name, expression in values.items() if name in names}
    chosen |= {name: _EMPTY[kind] for name, kind, is_needed in columns if is_needed and name not in chosen}
    insert = f"INSERT INTO {table} ({', '.join(chosen)}) SELECT {', '.join(chosen.values())} FROM {source}"
    least = "min(id)" if "id" in names else "0"
    return int(stage.rows(f"WITH added AS ({insert} RETURNING *) SELECT {least} FROM added LIMIT 1")[0][0])


def seed_open_orders(stage: Stage, count: int) -> list[OpenOrder]:
    """Orders with an open payment each, none of which becomes due. Raises: RuntimeError if one is refused."""
    buyers = seed_buyers(stage, count)
    placed = stage.send([buyer.order() for buyer in buyers])
    stage.wait_drained(REQUESTS)
    numbers = [answered(answer)["order_number"] for answer in placed.answers]
    placed_by = [*zip(buyers, numbers, strict=True)]
    page = {"product": "page"}
    started = stage.send([buyer.post(f"{ORDERS}{number}/payments/", page) for buyer, number in placed_by])
    query = """
        SELECT o.order_number, p.out_trade_no FROM payments_payment p JOIN shop_order o ON o.id = p.order_id
        WHERE o.order_number = ANY(%s)
    """
    trades = dict(stage.rows(query, numbers))
    if missing := count - len(trades):
        raise RuntimeError(f"{missing} of {count} payments were not started: {started.not_expected(200)}")
    stage.put_off("shop_order", "order_number = ANY(%s)", numbers)
    stage.put_off("payments_payment", "out_trade_no = ANY(%s)", [*trades.values()])
    stage.vacuum()
    return [OpenOrder(number, buyer, trades[number]) for buyer, number in placed_by]


def answered(answer: bytes) -> dict[str, str]:
    """The `data` of an API response."""
    return dict(json.loads(answer.partition(b"\r\n\r\n")[2])["data"])
