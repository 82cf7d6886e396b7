"""Workers die or hang with claimed orders: others create those orders within seconds, each once."""

import time
from collections.abc import Iterator

import pytest

from project.local.waiting import wait_until
from tests.journeys.shopping import PATIENCE_S, Buyer, account_locked, count_orders, simple_body
from tests.journeys.test_outages import (
    assert_created_once,
    is_waiting_for_lock,
    wait_for_order,
)
from tests.nodes.shop_stack import ShopStack, build_shop_stack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(240)]

WITHIN_S = 10


@pytest.fixture(scope="module")
def _patient_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShopStack]:
    """With the default lease and sweep interval."""
    stack = build_shop_stack(
        tmp_path_factory.mktemp("patient") / "shop", extra_env={"WORK_LEASE_S": "5", "SWEEP_INTERVAL_S": "2"}
    )
    with stack.running():
        yield stack


@pytest.fixture
def _breakable_shop(_patient_shop: ShopStack) -> ShopStack:
    return _patient_shop


def test_all_workers_killed_with_an_order_in_hand(shop: ShopStack, buyer: Buyer) -> None:
    second = shop.add_worker()
    with account_locked(buyer):
        number = buyer.place(simple_body(shop, beili=10))
        assert wait_until(lambda: is_waiting_for_lock(shop), timeout_s=PATIENCE_S)
        for worker in (shop.worker, second):
            worker.kill("SIGKILL")
        killed_at = time.monotonic()
    shop.worker.restart()
    wait_for_order(shop, buyer)
    took_s = time.monotonic() - killed_at
    assert_created_once(shop, buyer, number)
    print(f"created {took_s:.1f} s after the kill")
    assert took_s <= WITHIN_S


def test_worker_that_hangs_for_longer_than_its_lease_does_nothing_late(shop: ShopStack, buyer: Buyer) -> None:
    with account_locked(buyer):
        number = buyer.place(simple_body(shop, beili=10))
        assert wait_until(lambda: is_waiting_for_lock(shop), timeout_s=PATIENCE_S)
        pids = [shop.worker.container.child.pid, *shop.worker.get_pool_pids()]
        for pid in pids:
            _signal(pid, "STOP")
    try:
        # PostgreSQL ends the session of a hanging client after `idle_in_transaction_session_timeout`.
        shop.add_worker()
        wait_for_order(shop, buyer)
        assert_created_once(shop, buyer, number)
    finally:
        for pid in pids:
            _signal(pid, "CONT")
    assert wait_until(
        lambda: "shop.create_orders" in shop.worker.container.logs_since_start(), timeout_s=PATIENCE_S
    )
    time.sleep(3)
    assert_created_once(shop, buyer, number)
    assert count_orders(shop, buyer.account_id) == 1
    [request] = shop.rows(
        "SELECT attempts, status, last_error FROM shop_orderrequest WHERE order_number = %s", number
    )
    assert request["status"] == "created"
    assert request["attempts"] >= 2
    assert (
        shop.rows("SELECT 1 FROM shop_orderrequest WHERE status = 'created' AND available_at IS NOT NULL")
        == []
    )


def _signal(pid: int, name: str) -> None:
    import os
    import signal

    os.kill(pid, getattr(signal, f"SIG{name}"))
