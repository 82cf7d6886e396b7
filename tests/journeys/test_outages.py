"""Orders survive faults of workers, the broker and the database: each is created exactly once, soon after the
fault.

A row lock that the test holds keeps the worker in the middle of its transaction.
"""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from project.local.waiting import wait_until
from tests.journeys.shopping import (
    PATIENCE_S,
    Buyer,
    account_locked,
    count_orders,
    new_buyer,
    pay,
    simple_body,
)
from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(240)]

# Another thread publishes to the broker: the answer waits for PostgreSQL only.
BOUNDED_S = 1.0
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def is_waiting_for_lock(shop: ShopStack) -> bool:
    return bool(
        shop.value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = "
            "'Lock' AND query LIKE '%%shop_account%%'"
        )
    )


def wait_for_order(shop: ShopStack, buyer: Buyer, *, count: int = 1) -> float:
    """Seconds until the buyer has this many orders."""
    started = time.monotonic()
    assert wait_until(lambda: count_orders(shop, buyer.account_id) >= count, timeout_s=PATIENCE_S)
    return time.monotonic() - started


def assert_created_once(shop: ShopStack, buyer: Buyer, order_number: str) -> None:
    assert buyer.follow(order_number)["status"] == "awaiting_payment"
    assert count_orders(shop, buyer.account_id) == 1
    assert (
        shop.value(
            "SELECT count(*) FROM shop_orderline l JOIN shop_order o ON o.id = l.order_id WHERE "
            "o.account_id = %s",
            buyer.account_id,
        )
        == 1
    )


def test_worker_killed_in_the_middle_of_an_order(shop: ShopStack, buyer: Buyer) -> None:
    with account_locked(buyer):
        order_number = buyer.place(simple_body(shop, beili=10))
        assert wait_until(lambda: is_waiting_for_lock(shop), timeout_s=PATIENCE_S)
        shop.worker.kill("SIGKILL")
    assert count_orders(shop, buyer.account_id) == 0

    shop.worker.restart()
    shop.worker.ready()
    recovery_s = wait_for_order(shop, buyer)
    assert_created_once(shop, buyer, order_number)
    print(f"recovery: {recovery_s:.2f} s after the worker was back")


NEVER = "9999"


def first_line(node: Any, what: str) -> str:
    """The first line of the node's log that contains `what`; it begins with the time. `NEVER` if there is
    none.
    """
    lines = [
        ANSI.sub("", line).strip() for line in node.container.logs_since_start().splitlines() if what in line
    ]
    return min(lines, default=NEVER)


def test_another_worker_takes_over_from_a_killed_one(shop: ShopStack, buyer: Buyer) -> None:
    second = shop.add_worker()
    with account_locked(buyer):
        order_number = buyer.place(simple_body(shop, beili=10))
        assert wait_until(lambda: is_waiting_for_lock(shop), timeout_s=PATIENCE_S)
        # The sweep may have woken the other one, too, which found the request claimed.
        taker = min((shop.worker, second), key=lambda node: first_line(node, "shop.create_orders"))
        assert first_line(taker, "shop.create_orders") < NEVER
        taker.kill("SIGKILL")
    recovery_s = wait_for_order(shop, buyer)
    assert_created_once(shop, buyer, order_number)
    print(f"recovery: {recovery_s:.2f} s after the kill")


def test_worker_killed_between_commit_and_acknowledgement(shop: ShopStack, buyer: Buyer) -> None:
    """The child commits while its parent, which acknowledges, is frozen; then both die.

    The message is redelivered and does nothing.
    """
    with account_locked(buyer):
        order_number = buyer.place(simple_body(shop, beili=10))
        assert wait_until(lambda: is_waiting_for_lock(shop), timeout_s=PATIENCE_S)
        shop.worker.kill("SIGSTOP")
    wait_for_order(shop, buyer)
    shop.worker.kill("SIGKILL")

    with shop.broker.container.client as client:
        unacknowledged = client.zrange("unacked_index", 0, -1)
        assert unacknowledged
        # Skips the visibility timeout.
        client.zadd("unacked_index", dict.fromkeys(unacknowledged, 0))
        shop.worker.restart()
        shop.worker.ready()
        assert wait_until(
            lambda: not set(client.zrange("unacked_index", 0, -1)) & set(unacknowledged), timeout_s=PATIENCE_S
        )
    assert wait_until(
        lambda: "Task shop.create_orders" in shop.worker.container.logs_since_start(), timeout_s=PATIENCE_S
    )
    assert_created_once(shop, buyer, order_number)


def test_broker_emptied_after_the_order_was_taken_in(shop: ShopStack, buyer: Buyer) -> None:
    shop.worker.kill("SIGKILL")
    order_number = buyer.place(simple_body(shop))
    shop.broker.lose_everything()

    shop.worker.restart()
    shop.worker.ready()
    recovery_s = wait_for_order(shop, buyer)
    assert_created_once(shop, buyer, order_number)
    print(f"recovery: {recovery_s:.2f} s after the worker was ready")


def test_order_is_taken_in_while_the_broker_is_down(shop: ShopStack, buyer: Buyer) -> None:
    shop.broker.kill("SIGKILL")
    started = time.monotonic()
    order_number = buyer.place(simple_body(shop))
    answer_s = time.monotonic() - started
    status = buyer.api.get(f"orders/{order_number}/")["status"]

    shop.broker.restart()
    shop.broker.ready()
    recovery_s = wait_for_order(shop, buyer)
    assert_created_once(shop, buyer, order_number)
    print(f"answered in {answer_s:.3f} s; recovery: {recovery_s:.2f} s after the broker was back")
    assert answer_s < 1
    assert status == "pending"


def test_order_is_taken_in_while_the_broker_is_frozen(shop: ShopStack, buyer: Buyer) -> None:
    buyer.api.get("courses/")
    shop.broker.freeze()
    try:
        started = time.monotonic()
        order_number = buyer.place(simple_body(shop))
        answer_s = time.monotonic() - started
    finally:
        shop.broker.thaw()
    recovery_s = wait_for_order(shop, buyer)
    assert_created_once(shop, buyer, order_number)
    print(f"answered in {answer_s:.3f} s; recovery: {recovery_s:.2f} s after the thaw")
    assert answer_s < BOUNDED_S


def test_orders_are_taken_in_side_by_side_while_the_broker_is_frozen(shop: ShopStack) -> None:
    """Each request waits for a frozen broker by itself; requests don't queue up."""
    buyers = [new_buyer(shop) for _ in range(4)]
    body = simple_body(shop)
    shop.broker.freeze()
    try:
        with ThreadPoolExecutor(len(buyers)) as pool:
            started = time.monotonic()
            numbers = list(pool.map(lambda buyer: buyer.place(body), buyers))
            answer_s = time.monotonic() - started
    finally:
        shop.broker.thaw()
    for buyer, number in zip(buyers, numbers, strict=True):
        assert_created_once(shop, buyer, number)
    print(f"all answered in {answer_s:.3f} s")
    assert answer_s < 2 * BOUNDED_S


def test_database_connections_cut_in_the_middle_of_an_order(shop: ShopStack, buyer: Buyer) -> None:
    with account_locked(buyer) as connection:
        order_number = buyer.place(simple_body(shop, beili=10))
        assert wait_until(lambda: is_waiting_for_lock(shop), timeout_s=PATIENCE_S)
        shop.cut_database_connections()
        connection.close()
    recovery_s = wait_for_order(shop, buyer)
    assert_created_once(shop, buyer, order_number)
    print(f"recovery: {recovery_s:.2f} s after the cut")


def test_database_connections_cut_again_and_again(shop: ShopStack) -> None:
    """Buyers who retry with the same key get exactly one order."""
    buyers = [new_buyer(shop) for _ in range(3)]
    body = simple_body(shop)
    keys = [(buyer, f"{buyer.account_id}-{number}") for number in range(5) for buyer in buyers]

    def insist(buyer: Buyer, key: str) -> str:
        numbers: list[str] = []

        def is_taken_in() -> bool:
            try:
                response = buyer.post_order(body, key=key)
            except httpx.TransportError:
                return False
            if response.status_code == 202:
                numbers.append(response.json()["data"]["order_number"])
            else:
                assert response.status_code == 503, response.text
            return bool(numbers)

        assert wait_until(is_taken_in, timeout_s=PATIENCE_S)
        return numbers[0]

    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(insist, buyer, key) for buyer, key in keys]
        for answer in answers:
            shop.cut_database_connections()
            answer.result(timeout=PATIENCE_S)
    for buyer in buyers:
        wait_for_order(shop, buyer, count=5)
        assert (
            shop.value("SELECT count(*) FROM shop_orderrequest WHERE account_id = %s", buyer.account_id) == 5
        )


def test_web_process_restarted_between_order_and_payment(shop: ShopStack, buyer: Buyer) -> None:
    order_number = buyer.place(simple_body(shop))
    shop.web.kill("SIGKILL")
    shop.web.restart()
    shop.web.ready()
    assert wait_until(shop.is_ready, timeout_s=PATIENCE_S)
    buyer.follow(order_number)
    pay(shop, buyer.open_cashier(order_number))
    assert buyer.follow(order_number, while_status="awaiting_payment")["status"] == "paid"


@pytest.mark.slow
def test_workers_are_back_soon_after_a_long_absence_of_the_broker(shop: ShopStack, buyer: Buyer) -> None:
    """With Celery's own pauses the next attempt would come six seconds after the return."""
    wait_for_order(shop, buyer, count=0)
    shop.broker.kill("SIGTERM")
    time.sleep(24)
    number = buyer.place(simple_body(shop))
    shop.broker.restart()
    shop.broker.ready()
    assert wait_for_order(shop, buyer) < 4
    assert_created_once(shop, buyer, number)
