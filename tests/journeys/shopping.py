"""A buyer in a running shop, step by step: the tests break things between the steps."""

import itertools
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import psycopg

from project.local.purchase import ApiClient
from project.local.waiting import wait_until
from tests.nodes.shop_stack import ShopStack

PATIENCE_S = 40
_counter = itertools.count(1)


@dataclass
class Buyer:
    """A logged-in buyer of their own, so that tests on one shop don't meet."""

    stack: ShopStack
    api: ApiClient
    account_id: int

    def fill_cart(self, *courses: str) -> list[int]:
        """Puts a month of each course in the cart; answers the courses' ids."""
        ids = []
        for name in courses:
            course_id, policy_id = find_policy(self.stack, name)
            self.api.post("cart/", {"course_id": course_id, "policy_id": policy_id})
            ids.append(course_id)
        return ids

    def claim(self, campaign: str) -> int:
        """Claims a coupon; answers the record's id."""
        coupon_id = self.stack.value("SELECT id FROM shop_coupon WHERE name = %s", campaign)
        return int(self.api.post(f"coupons/{coupon_id}/claim/")["id"])

    def check_out(self, course_ids: Sequence[int]) -> dict[str, Any]:
        """A checkout that a worker has priced."""
        started = self.api.post("checkout/", {"course_list": list(course_ids)})
        shown: dict[str, Any] = {}

        def is_priced() -> bool:
            shown.update(self.api.get(f"checkout/{started['checkout_id']}/"))
            return bool(shown["status"] != "pending")

        assert wait_until(is_priced, timeout_s=PATIENCE_S), shown
        assert shown["status"] == "ready", shown
        return shown

    def post_order(self, body: Mapping[str, Any], *, key: str | None = None) -> httpx.Response:
        return self.api.http.post("orders/", json=body, headers={"Idempotency-Key": key or str(uuid.uuid4())})

    def place(self, body: Mapping[str, Any], *, key: str | None = None) -> str:
        """The number of an order that was taken in."""
        response = self.post_order(body, key=key)
        assert response.status_code == 202, response.text
        return str(response.json()["data"]["order_number"])

    def follow(self, order_number: str, *, while_status: str = "pending") -> dict[str, Any]:
        """The order, as soon as it is no longer so."""
        return self.api.follow_order(order_number, while_status={while_status}, timeout_s=PATIENCE_S)

    def open_cashier(self, order: Mapping[str, Any]) -> str:
        """Follows the order's `pay_url` to the cashier; answers the attempt's `out_trade_no`."""
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=20) as browser:
            page = browser.get(order["pay_url"])
        assert page.status_code == 200, page.text
        return str(
            self.stack.value(
                "SELECT p.out_trade_no FROM payments_payment p JOIN shop_order o ON o.id = p.order_id WHERE "
                "o.order_number = %s AND p.status = 'open'",
                order["order_number"],
            )
        )

    def buy(self, course: str = "Redis 从用到懂") -> str:
        """An order for one course, created and awaiting payment."""
        order_number = self.place(simple_body(self.stack, course))
        assert self.follow(order_number)["status"] == "awaiting_payment"
        return order_number


def new_buyer(stack: ShopStack, *, beili: int = 0) -> Buyer:
    """An account with 贝里, made by SQL as the seed command makes it, with the demo's password."""
    username = f"buyer-{next(_counter)}-{secrets.token_hex(4)}"
    with psycopg.connect(stack.database_url) as connection:
        row = connection.execute(
            """
            INSERT INTO shop_account (username, password, balance, held_balance, is_superuser, is_staff,
                is_active, first_name, last_name, email, date_joined)
            SELECT %s, password, 0, 0, false, false, true, '', '', '', now() FROM shop_account
            WHERE username = 'buyer1' RETURNING id
            """,
            [username],
        ).fetchone()
        assert row is not None
        if beili:
            connection.execute(
                """
                INSERT INTO shop_ledgertransfer (key, debit, credit, currency, amount, account_id, memo,
                    created_at)
                VALUES (%s, 'beili_issued', 'beili_available', 'BEILI', %s, %s, '', now())
                """,
                [f"grant:{username}", beili, row[0]],
            )
    return Buyer(stack, stack.api(username), row[0])


def find_policy(stack: ShopStack, course: str) -> tuple[int, int]:
    """(course id, policy id) of a month of the course."""
    (row,) = stack.rows(
        "SELECT c.id, p.id AS policy FROM shop_course c JOIN shop_pricepolicy p ON p.course_id = c.id WHERE "
        "c.name = %s AND p.valid_period = 30",
        course,
    )
    return row["id"], row["policy"]


def simple_body(stack: ShopStack, course: str = "Redis 从用到懂", *, beili: int = 0) -> dict[str, Any]:
    """An order for a month of one course, without coupons and without a checkout; meant, however often it is
    placed.
    """
    course_id, policy_id = find_policy(stack, course)
    price = stack.value("SELECT price FROM shop_pricepolicy WHERE id = %s", policy_id)
    return {
        "course_price_list": [{"course_id": course_id, "policy_id": policy_id, "coupon_record_id": 0}],
        "coupon_record_id": 0,
        "balance": beili,
        "alipay": str(price - Decimal(beili)),
        "buy_again": True,
    }


def checkout_body(checkout: Mapping[str, Any], *, beili: int = 0) -> dict[str, Any]:
    """An order as the checkout suggests it, with some 贝里."""
    quote, offered = checkout["quote"], checkout["payment_list"]["policy_course_dict"]
    return {
        "checkout_id": checkout["checkout_id"],
        "course_price_list": [
            {
                "course_id": line["course_id"],
                "policy_id": offered[str(line["course_id"])]["policy_id"],
                "coupon_record_id": line["coupon_record_id"],
            }
            for line in quote["lines"]
        ],
        "coupon_record_id": quote["coupon_record_id"],
        "balance": beili,
        "alipay": f"{Decimal(quote['alipay']) - beili:.2f}",
    }


def control(stack: ShopStack, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """The simulator's control API: what Alipay and the buyer do there."""
    response = httpx.request(
        method, f"{stack.simulator_url}/control/{path}", json=body, timeout=30, trust_env=False
    )
    assert response.is_success, response.text
    return response.json()


def pay(stack: ShopStack, out_trade_no: str) -> None:
    """The buyer pays at Alipay and closes the browser: only a notification (or a query) tells the shop."""
    control(stack, "POST", f"trades/{out_trade_no}/pay", {})


def count_orders(stack: ShopStack, account_id: int) -> int:
    return int(stack.value("SELECT count(*) FROM shop_order WHERE account_id = %s", account_id))
