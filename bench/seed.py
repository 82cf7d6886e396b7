"""The shop's catalogue and buyers with tokens, by SQL: thousands within a second, in the schema of any
checkout.

The unit of work is the same everywhere: two courses (¥100.00 and ¥298.00), a course coupon of ¥20.00 on the
first, a global coupon of 10 %, 30 贝里, the rest by Alipay: ¥310.20.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from bench.client import build_request
from bench.history import Connection, move_sequence

BEILI, GRANTED_BEILI, CASH = 30, 100, "310.20"
APP_ID, SELLER_ID = "2021000000000001", "2088000000000001"
# What a column gets that must not be NULL, has no default and isn't of interest.
_EMPTY = {
    "boolean": "false", "bigint": "0", "integer": "0", "smallint": "0", "numeric": "0",
    "character varying": "''", "text": "''",
    "jsonb": "'{}'", "date": "current_date", "timestamp with time zone": "now()",
}  # fmt: skip


@dataclass(frozen=True)
class Buyer:
    """A buyer with a token, and with coupons for one unit of work."""

    account_id: int
    course_coupon_id: int = 0
    global_coupon_id: int = 0

    @property
    def authorization(self) -> tuple[str, str]:
        return "Authorization", f"Token {hashlib.md5(f'bench-{self.account_id}'.encode()).hexdigest() * 2}"

    def post(self, path: str, body: Mapping[str, object], **headers: str) -> bytes:
        """A POST of this buyer's."""
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        sent = [self.authorization, ("Content-Type", "application/json"), *named]
        return build_request("POST", path, headers=sent, body=json.dumps(body).encode())

    def order_request(self, path: str, *, checkout_id: str | None = None) -> bytes:
        """The POST that orders the unit of work, agreeing to its exact amounts."""
        body = {
            "course_price_list": [
                {"course_id": 1, "policy_id": 1, "coupon_record_id": self.course_coupon_id},
                {"course_id": 2, "policy_id": 2, "coupon_record_id": None},
            ],
            "coupon_record_id": self.global_coupon_id,
            "balance": BEILI,
            "alipay": CASH,
        } | ({"checkout_id": checkout_id} if checkout_id else {})
        return self.post(path, body, Idempotency_Key=f"bench-{self.account_id}")


def add_catalogue(connection: Connection) -> None:
    """Both courses with their prices, and both campaigns, once."""
    if connection.execute("SELECT 1 FROM shop_course").fetchone():
        return
    both = "generate_series(1, 2) AS n"
    course = {
        "id": "n",
        "name": "'课程 ' || n",
        "course_img": "'/static/shop/covers/01.svg'",
        "position": "n",
    }
    _insert(connection, "shop_course", course, both)
    _insert(
        connection,
        "shop_pricepolicy",
        {"id": "n", "course_id": "n", "valid_period": "30", "price": "198 * n - 98"},
        both,
    )
    campaign = {
        "id": "n",
        "name": "'活动 ' || n",
        "coupon_type": "2 * (n - 1)",
        "money_equivalent_value": "20 * (2 - n)",
        "off_percent": "CASE n WHEN 2 THEN 90 END",
        "scope": "CASE n WHEN 1 THEN 'course' ELSE 'order' END",
        "course_id": "CASE n WHEN 1 THEN 1 END",
        "quantity": "1000000000",
        "close_date": "current_date + 3650",
        "coupon_valid_days": "3650",
    }
    _insert(connection, "shop_coupon", campaign, both)
    for table in ("shop_course", "shop_pricepolicy", "shop_coupon"):
        move_sequence(connection, table)


def add_buyers(connection: Connection, count: int) -> list[Buyer]:
    """Buyers who can each order one unit of work."""
    # balances and counts are written as they will be
    connection.execute("SET session_replication_role = replica")
    first = _insert(
        connection,
        "shop_account",
        {
            "username": "'bench-' || gen_random_uuid()",
            "password": "'!'",
            "is_active": "true",
            "balance": str(GRANTED_BEILI),
        },
        f"generate_series(1, {count}) AS n",
    )
    accounts = f"generate_series({first}, {first + count - 1}) AS n"
    add_tokens(connection, accounts)
    grant = {
        "key": "'bench-grant:' || n",
        "debit": "'beili_issued'",
        "credit": "'beili_available'",
        "currency": "'BEILI'",
        "amount": str(GRANTED_BEILI),
        "account_id": "n",
    }
    _insert(connection, "shop_ledgertransfer", grant, accounts)
    record = {
        "account_id": "n",
        "coupon_id": "campaign",
        "number": "'B' || n || '-' || campaign",
        "status": "'unused'",
    }
    until = {"valid_until_date": "current_date + 365"}
    record_id = _insert(
        connection,
        "shop_couponrecord",
        record | until,
        f"{accounts}, generate_series(1, 2) AS campaign ORDER BY n, campaign",
    )
    connection.execute("UPDATE shop_coupon SET claimed_count = claimed_count + %s", [count])
    connection.execute("SET session_replication_role = origin")
    return [Buyer(first + place, record_id + 2 * place, record_id + 2 * place + 1) for place in range(count)]


def add_tokens(connection: Connection, accounts: str) -> None:
    """A token for each account that the source yields as `n`."""
    token = "repeat(md5('bench-' || n), 2)"
    digest, key = f"encode(sha512(convert_to({token}, 'UTF8')), 'hex')", f"substr({token}, 1, 15)"
    _insert(
        connection,
        "knox_authtoken",
        {"digest": digest, "token_key": key, "user_id": "n", "expiry": "now() + interval '9 years'"},
        accounts,
    )


def _insert(connection: Connection, table: str, values: Mapping[str, str], source: str) -> int:
    """INSERT … SELECT:

    `values` are SQL expressions by column over the rows of `source`. Columns that the table doesn't have are
    left out; those that it demands and that aren't given get the empty value of their type. Returns the least
    id, if the table has one.
    """
    columns = connection.execute(
        """
        SELECT column_name, data_type, is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
        FROM information_schema.columns WHERE table_name = %s
        """,
        [table],
    ).fetchall()
    names = {name for name, _, _ in columns}
    chosen = {name: expression for name, expression in values.items() if name in names}
    chosen |= {name: _EMPTY[kind] for name, kind, is_needed in columns if is_needed and name not in chosen}
    query = f"""
        WITH added AS (INSERT INTO {table} ({", ".join(chosen)}) SELECT {", ".join(chosen.values())}
            FROM {source} RETURNING *)
        SELECT {"min(id)" if "id" in names else "NULL"} FROM added
    """
    row = connection.execute(query).fetchone()
    return int(row[0] or 0) if row else 0
