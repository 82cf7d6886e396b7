"""A scenario: one buyer and one order in a running shop, with Alipay and the buyer under the test's control.

Each scenario has its own course, so no other scenario's trade has the same subject, and its faults apply only
to its own trades.
"""

import contextlib
import itertools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from project.local.waiting import wait_until
from tests.journeys.shopping import Buyer, control, new_buyer, order_body, pay
from tests.nodes.shop_stack import ShopStack

# Generous: the machine may be busy, and failures back off for 2, 4, 8 seconds.
PATIENCE_S = 60
SIDE_BY_SIDE = 16
PRICE = Decimal("30.00")
BEILI = 10

_numbers = itertools.count(1)


@dataclass(frozen=True)
class State:
    """The final state of an order and everything that belongs to it.

    Attempts, refunds and notifications in any order; what isn't named must be absent.
    """

    order: str
    payments: tuple[str, ...] = ()
    refunds: tuple[str, ...] = ()
    enrolments: tuple[str, ...] = ()
    notifications: tuple[str, ...] = ()

    def told(self, *notifications: str) -> "State":
        """The same state with these statuses of notifications."""
        return replace(self, notifications=tuple(sorted(notifications)))


PAID = State("paid", ("paid",), (), ("active",))
APPLIED = PAID.told("applied")
CANCELLED = State("cancelled", ("closed",))


@dataclass
class ChaosShop:
    """Runs scenarios, in many threads concurrently.

    Each has a buyer and a database connection of its own.
    """

    shop: ShopStack
    # Kept for all tests: each thread's buyer and connection are created once.
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(SIDE_BY_SIDE))
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=30, trust_env=False))
    _local: threading.local = field(default_factory=threading.local)
    _open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def scenario(self, name: str, *, beili: int = BEILI) -> "OrderScenario":
        """A scenario with an order that awaits payment."""
        return self.empty_scenario(name).order(beili=beili)

    def empty_scenario(self, name: str, *, buyer: Buyer | None = None) -> "OrderScenario":
        """A scenario without an order yet."""
        return OrderScenario(self, buyer or self._my_buyer(), *self._add_course(name))

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Like `ShopStack.rows`, on this thread's own connection, since waiting polls often."""
        if not hasattr(self._local, "connection"):
            self._local.connection = self._open.enter_context(
                psycopg.connect(self.shop.database_url, row_factory=dict_row, autocommit=True)
            )
        cursor = self._local.connection.execute(query, parameters)
        return list(cursor.fetchall()) if cursor.description else []

    def value(self, query: str, *parameters: Any) -> Any:
        """The only column of the only row."""
        (row,) = self.rows(query, *parameters)
        (value,) = row.values()
        return value

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Calls the simulator's control API."""
        return control(self.shop, method, path, body, http=self.http)

    def close(self) -> None:
        self.pool.shutdown()
        self._open.close()
        self.http.close()

    def _my_buyer(self) -> Buyer:
        """This thread's buyer, with plenty of 贝里."""
        if not hasattr(self._local, "buyer"):
            self._local.buyer = new_buyer(self.shop, beili=10_000)
        buyer: Buyer = self._local.buyer
        return buyer

    def _add_course(self, name: str) -> tuple[int, int]:
        """(course id, policy id) of a new course for this scenario."""
        (row,) = self.rows(
            """
            WITH course AS (
                INSERT INTO shop_course (name, course_img, brief, course_type, status, position, created_at)
                VALUES (%s, 'x.svg', '', 0, 0, 0, now()) RETURNING id
            )
            INSERT INTO shop_pricepolicy (course_id, valid_period, price) SELECT id, 30, %s FROM course
            RETURNING course_id, id
            """,
            f"{name} 课程 {next(_numbers)}",
            PRICE,
        )
        return row["course_id"], row["id"]


@dataclass
class OrderScenario:
    """One order. The methods are what the buyer, Alipay or the clock does."""

    chaos: ChaosShop
    buyer: Buyer
    course_id: int
    policy_id: int
    number: str = ""

    @property
    def shop(self) -> ShopStack:
        return self.chaos.shop

    # --- The buyer at the shop

    def order(
        self,
        *,
        beili: int = BEILI,
        coupon_record_id: int = 0,
        cash: Decimal | None = None,
        buys_again: bool = False,
    ) -> "OrderScenario":
        """Places the order and waits until it awaits payment."""
        body = order_body(
            self.course_id,
            self.policy_id,
            beili=beili,
            alipay=PRICE - beili if cash is None else cash,
            coupon_record_id=coupon_record_id,
            buy_again=buys_again,
        )
        self.number = self.buyer.place(body)
        self.wait(lambda: self.state().order == "awaiting_payment")
        return self

    def open(self, product: str = "page") -> str:
        """The buyer goes to the cashier. Returns the attempt's `out_trade_no`.

        Alipay has no trade before the scan.
        """
        response = self.ask_to_pay(product)
        assert response.status_code == 200, response.text
        started = response.json()["data"]
        if product in {"page", "wap"}:
            page = self.chaos.http.get(started["pay_url"], follow_redirects=True)
            assert page.status_code == 200, page.text
        return str(started["out_trade_no"])

    def ask_to_pay(self, product: str) -> httpx.Response:
        return self.buyer.api.http.post(f"orders/{self.number}/payments/", json={"product": product})

    def cancel(self) -> httpx.Response:
        return self.buyer.api.http.post(f"orders/{self.number}/cancel/")

    def refund(self) -> httpx.Response:
        """Requests a full refund, which is approved at once."""
        return self.buyer.api.http.post(f"orders/{self.number}/refunds/", json={"reason": "不想学了"})

    # --- The buyer at Alipay, and Alipay

    def scan(self, out_trade_no: str) -> None:
        self.chaos.control("POST", f"trades/{out_trade_no}/scan", {})

    def pay(self, out_trade_no: str) -> None:
        """Pays and closes the browser."""
        pay(self.shop, out_trade_no, http=self.chaos.http)

    def buy(self, product: str = "page") -> str:
        """Pays the order and waits until its notification is applied. Returns the attempt's
        `out_trade_no`.
        """
        out_trade_no = self.open(product)
        self.pay(out_trade_no)
        self.wait_for_end(APPLIED)
        return out_trade_no

    def try_to_pay(self, out_trade_no: str) -> bool:
        """Like `pay`, but Alipay may refuse."""
        response = self.chaos.http.post(
            f"{self.shop.simulator_url}/control/trades/{out_trade_no}/pay", json={}
        )
        assert response.status_code in {200, 409}, response.text
        return response.status_code == 200

    def trade(self, out_trade_no: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.chaos.control("GET", f"trades/{out_trade_no}")
        return answer

    def inject(self, kind: str, out_trade_no: str | None = None, **rule: Any) -> int:
        """Sets a fault for this order's first attempt (or another); returns its id."""
        rule = {"kind": kind, "out_trade_no": out_trade_no or f"{self.number}P1", **rule}
        return int(self.chaos.control("POST", "faults", rule)["fault_id"])

    def silence(self) -> None:
        """Drops all notifications of this order's first attempt."""
        self.inject("drop", times=None)

    def was_hit(self, fault_id: int) -> bool:
        (rule,) = [
            rule for rule in self.chaos.control("GET", "faults")["faults"] if rule["fault_id"] == fault_id
        ]
        return bool(rule["hits"])

    def deliveries(self, out_trade_no: str) -> list[Mapping[str, Any]]:
        """Every notification that was sent, with the shop's answer."""
        found: list[Mapping[str, Any]] = self.chaos.control("GET", f"deliveries?out_trade_no={out_trade_no}")[
            "deliveries"
        ]
        return found

    def deliver_again(self, out_trade_no: str) -> None:
        """Alipay repeats its first notification, newly signed and without faults. Its own retry would come
        minutes later.
        """
        notification = self.chaos.control("GET", f"notifications?out_trade_no={out_trade_no}")[
            "notifications"
        ][-1]
        self.chaos.control("POST", f"notifications/{notification['notify_id']}/replay", {"fresh": True})

    # --- Time

    def poll(self) -> None:
        """Makes the queries of the attempts due: the first ones, or the last ones of closed attempts."""
        self.chaos.rows(
            "UPDATE payments_payment SET available_at = now() WHERE out_trade_no LIKE %s AND available_at IS "
            "NOT NULL",
            f"{self.number}P%",
        )

    def abandon(self, out_trade_no: str) -> None:
        """Makes the shop close an attempt that Alipay doesn't know yet, and not query it again. It can still
        be paid there.
        """
        self.chaos.rows(
            """
            UPDATE payments_payment
                SET status = 'closed', closed_reason = 'never_paid', closed_at = now(), available_at = NULL
            WHERE out_trade_no = %s
            """,
            out_trade_no,
        )

    def expire(self) -> None:
        """Ends the order's time, its grace period and its attempts' time.

        At Alipay they can still be paid.
        """
        self.chaos.rows(
            "UPDATE payments_payment SET expires_at = now() WHERE out_trade_no LIKE %s", f"{self.number}P%"
        )
        self.chaos.rows(
            "UPDATE shop_order SET expires_at = now() - %s, closes_at = now(), available_at = now() WHERE "
            "order_number = %s",
            timedelta(minutes=2),
            self.number,
        )

    def hurry_refunds(self) -> None:
        """Makes repeated queries of refunds due now."""
        self.chaos.rows(
            """
            UPDATE payments_refund SET available_at = now()
            WHERE available_at IS NOT NULL AND order_id = (SELECT id FROM shop_order WHERE order_number = %s)
            """,
            self.number,
        )

    # --- What has become of it

    def state(self) -> State:
        """Read by SQL in one statement."""
        (row,) = self.chaos.rows(
            """
            SELECT request.status AS request, orders.status AS order,
                ARRAY(SELECT status || CASE WHEN is_surplus THEN ' surplus' ELSE '' END FROM payments_payment
                    WHERE order_id = orders.id) AS payments,
                ARRAY(SELECT kind || ' ' || status || CASE WHEN outcome <> '' THEN ' ' || outcome ELSE '' END
                    FROM payments_refund WHERE order_id = orders.id) AS refunds,
                ARRAY(SELECT e.status FROM shop_enrolment e JOIN shop_orderline l ON l.id = e.order_line_id
                    WHERE l.order_id = orders.id)
                    AS enrolments,
                ARRAY(SELECT status || CASE WHEN reason <> '' THEN ' ' || reason ELSE '' END
                    FROM payments_notification
                    WHERE right(out_trade_no, 20) IN (SELECT right(out_trade_no, 20) FROM payments_payment
                        WHERE order_id = orders.id))
                    AS notifications
            FROM shop_orderrequest AS request LEFT JOIN shop_order AS orders ON orders.request_id = request.id
            WHERE request.order_number = %s
            """,
            self.number,
        )
        request, order = row.pop("request"), row.pop("order")
        return State(order or request, **{name: tuple(sorted(words)) for name, words in row.items()})

    def wait(self, condition: Callable[[], bool]) -> None:
        assert wait_until(condition, timeout_s=PATIENCE_S, poll_s=0.2), f"{self.number}: {self.describe()}"

    def wait_for(self, **expected: Any) -> None:
        """Waits until these parts of the state have these values."""

        def is_so() -> bool:
            now = self.state()
            return all(getattr(now, name) == value for name, value in expected.items())

        assert wait_until(is_so, timeout_s=PATIENCE_S, poll_s=0.2), (
            f"waited for {expected}, but {self.describe()}"
        )

    def wait_for_end(self, *ends: State) -> None:
        """Waits until the state is exactly one of these, including all notifications."""
        assert wait_until(lambda: self.state() in ends, timeout_s=PATIENCE_S, poll_s=0.2), (
            f"expected {ends}, but {self.describe()}"
        )

    def describe(self) -> str:
        """The state with the last errors, for a failure's message."""
        errors = self.chaos.rows(
            """
            SELECT 'order' AS what, attempts, last_error, available_at - now() AS due FROM shop_order
            WHERE order_number = %(n)s
            UNION ALL SELECT out_trade_no, attempts, last_error, available_at - now() FROM payments_payment
            WHERE out_trade_no LIKE %(n)s || 'P%%'
            UNION ALL SELECT out_request_no, attempts, last_error, available_at - now() FROM payments_refund
            WHERE out_request_no LIKE %(n)s || '%%'
            """.replace("%(n)s", f"'{self.number}'")
        )
        return f"{self.number}: {self.state()}\n" + "\n".join(f"    {row}" for row in errors)
