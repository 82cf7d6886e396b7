"""A buyer in a running shop, step by step: the tests break things between the steps."""

import contextlib
import itertools
import secrets
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import psycopg
from knox.crypto import hash_token
from knox.settings import CONSTANTS

from project.local.api_client import ApiClient, check_out
from tests.nodes.shop_stack import ShopStack

PATIENCE_S = 40
_counter = itertools.count(1)


@dataclass
class Buyer:
    """A logged-in buyer who isn't shared, so that tests on one shop don't interfere."""

    stack: ShopStack
    api: ApiClient
    account_id: int

    def fill_cart(self, *courses: str) -> list[int]:
        """Puts a month of each course into the cart; returns the courses' ids."""
        ids = []
        for name in courses:
            course_id, policy_id = find_policy(self.stack, name)
            self.api.post("cart/", {"course_id": course_id, "policy_id": policy_id})
            ids.append(course_id)
        return ids

    def claim(self, campaign: str) -> int:
        """Claims a coupon; returns the record's id."""
        coupon_id = self.stack.value("SELECT id FROM shop_coupon WHERE name = %s", campaign)
        return int(self.api.post(f"coupons/{coupon_id}/claim/")["id"])

    def check_out(self, course_ids: Sequence[int]) -> dict[str, Any]:
        """A checkout that a worker has priced."""
        return check_out(self.api, course_ids)

    def post_order(self, body: Mapping[str, Any], *, key: str | None = None) -> httpx.Response:
        return self.api.http.post("orders/", json=body, headers={"Idempotency-Key": key or str(uuid.uuid4())})

    def place(self, body: Mapping[str, Any], *, key: str | None = None) -> str:
        """Places an order; returns its number."""
        response = self.post_order(body, key=key)
        assert response.status_code == 202, response.text
        return str(response.json()["data"]["order_number"])

    def follow(self, order_number: str, *, while_status: str = "pending") -> dict[str, Any]:
        """The order, as soon as its status changes."""
        return self.api.follow_order(order_number, while_status={while_status}, timeout_s=PATIENCE_S)

    def open_cashier(self, order_number: str) -> str:
        """Follows the order's `pay_url` to the cashier; returns the attempt's `out_trade_no`."""
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=20) as browser:
            page = browser.get(self.api.get(f"orders/{order_number}/")["pay_url"])
        assert page.status_code == 200, page.text
        return str(
            self.stack.value(
                "SELECT p.out_trade_no FROM payments_payment p JOIN shop_order o ON o.id = p.order_id WHERE "
                "o.order_number = %s AND p.status = 'open'",
                order_number,
            )
        )

    def buy(self, course: str = "Redis 从用到懂") -> str:
        """An order for one course, created and awaiting payment."""
        order_number = self.place(simple_body(self.stack, course))
        assert self.follow(order_number)["status"] == "awaiting_payment"
        return order_number

    def buy_paid(self, course: str = "Redis 从用到懂") -> tuple[str, str]:
        """Buys and pays for one course; returns the order's number and its attempt's `out_trade_no`."""
        order_number = self.buy(course)
        out_trade_no = self.open_cashier(order_number)
        pay(self.stack, out_trade_no)
        assert self.follow(order_number, while_status="awaiting_payment")["status"] == "paid"
        return order_number, out_trade_no


_NEW_BUYER = """
    WITH account AS (
        INSERT INTO shop_account (username, password, balance, held_balance, is_superuser, is_staff,
            is_active, first_name, last_name, email, date_joined)
        SELECT %(username)s, password, 0, 0, false, false, true, '', '', '', now()
        FROM shop_account WHERE username = 'buyer1' RETURNING id
    ), grant_ AS (
        INSERT INTO shop_ledgertransfer (key, debit, credit, currency, amount, account_id, memo, created_at)
        SELECT 'grant:' || id, 'beili_issued', 'beili_available', 'BEILI', %(beili)s, id, '', now()
        FROM account WHERE %(beili)s > 0
    ), token AS (
        INSERT INTO knox_authtoken (digest, token_key, user_id, created, expiry)
        SELECT %(digest)s, %(token_key)s, id, now(), now() + interval '1 day' FROM account
    )
    SELECT id FROM account
"""


def new_buyer(stack: ShopStack, *, beili: int = 0) -> Buyer:
    """A logged-in buyer with 贝里 and the demo's password.

    Created by SQL: twenty concurrent password checks would delay everything else.
    """
    token = secrets.token_hex(32)
    values = {
        "username": f"buyer-{next(_counter)}-{secrets.token_hex(4)}",
        "beili": beili,
        "digest": hash_token(token),
        "token_key": token[: CONSTANTS.TOKEN_KEY_LENGTH],
    }
    with psycopg.connect(stack.database_url) as connection:
        ((account_id,),) = connection.execute(_NEW_BUYER, values)
    api = stack.client()
    api.http.headers["Authorization"] = f"Token {token}"
    return Buyer(stack, api, account_id)


def find_policy(stack: ShopStack, course: str) -> tuple[int, int]:
    """(course id, policy id) of a month of the course."""
    (row,) = stack.rows(
        "SELECT c.id, p.id AS policy FROM shop_course c JOIN shop_pricepolicy p ON p.course_id = c.id WHERE "
        "c.name = %s AND p.valid_period = 30",
        course,
    )
    return row["id"], row["policy"]


def simple_body(stack: ShopStack, course: str = "Redis 从用到懂", *, beili: int = 0) -> dict[str, Any]:
    """The body of an order for a month of one course, without coupons or a checkout; it may be placed
    repeatedly.
    """
    course_id, policy_id = find_policy(stack, course)
    price = stack.value("SELECT price FROM shop_pricepolicy WHERE id = %s", policy_id)
    return order_body(course_id, policy_id, beili=beili, alipay=price - Decimal(beili), buy_again=True)


def order_body(
    course_id: int,
    policy_id: int,
    *,
    beili: int,
    alipay: Decimal,
    coupon_record_id: int = 0,
    buy_again: bool = False,
) -> dict[str, Any]:
    """An order for one course without a checkout."""
    return {
        "course_price_list": [{"course_id": course_id, "policy_id": policy_id, "coupon_record_id": 0}],
        "coupon_record_id": coupon_record_id,
        "balance": beili,
        "alipay": str(alipay),
        "buy_again": buy_again,
    }


def control(
    stack: ShopStack,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    http: httpx.Client | None = None,
) -> Any:
    """Calls the simulator's control API, to act as Alipay or as the buyer there.

    Frequent callers pass a client of their own, which keeps its connections.
    """
    url = f"{stack.simulator_url}/control/{path}"
    if http is None:
        response = httpx.request(method, url, json=body, timeout=30, trust_env=False)
    else:
        response = http.request(method, url, json=body)
    assert response.is_success, response.text
    return response.json()


def pay(stack: ShopStack, out_trade_no: str, *, http: httpx.Client | None = None) -> None:
    """The buyer pays at Alipay and closes the browser: the shop learns of it only by a notification or a
    query.
    """
    control(stack, "POST", f"trades/{out_trade_no}/pay", {}, http=http)


@contextlib.contextmanager
def account_locked(buyer: Buyer) -> Iterator[psycopg.Connection]:
    """Holds the buyer's account lock, which creating or changing an order takes first; storing a request
    doesn't need it.
    """
    with psycopg.connect(buyer.stack.database_url) as connection:
        connection.execute("SELECT 1 FROM shop_account WHERE id = %s FOR NO KEY UPDATE", [buyer.account_id])
        yield connection
        if not connection.closed:
            connection.rollback()


def count_orders(stack: ShopStack, account_id: int) -> int:
    return int(stack.value("SELECT count(*) FROM shop_order WHERE account_id = %s", account_id))


def make_bill_due(stack: ShopStack) -> None:
    """Makes today's bill due as if the day had ended, and forgets an earlier one."""
    control(stack, "PATCH", "settings", {"bill_ready": "always"})
    for table in ("payments_billdifference", "payments_billentry", "payments_bill"):
        stack.rows(f"DELETE FROM {table}")
    stack.rows(
        """
        INSERT INTO payments_bill (provider, app_id, day, status, available_at, trade_count, trade_total,
            refund_count, refund_total, fee_total)
        VALUES ('alipay', %s, %s, 'waiting', now(), 0, 0, 0, 0, 0)
        """,
        stack.env["ALIPAY_APP_ID"],
        control(stack, "GET", "clock")["now_text"][:10],
    )
