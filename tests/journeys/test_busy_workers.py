"""Valkey goes away while a worker is in the middle of an order: the worker survives, finishes, and creates
the next order afterwards.

A row lock that the test holds keeps it in the middle.
"""

from collections.abc import Callable

import pytest

from project.local.waiting import wait_until
from tests.journeys.shopping import PATIENCE_S, Buyer, account_locked, simple_body
from tests.journeys.test_outages import (
    assert_created_once,
    is_waiting_for_lock,
    wait_for_order,
)
from tests.nodes.shop_stack import ShopStack
from tests.variants import first_of

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(240)]

# Longer than the worker needs to notice.
NOTICED_S = 30


def stop(shop: ShopStack) -> None:
    shop.broker.kill("SIGTERM")


def kill(shop: ShopStack) -> None:
    shop.broker.kill("SIGKILL")


@pytest.mark.parametrize("go_away", first_of(kill, stop))
@pytest.mark.parametrize("ends_while_away", [True, False])
def test_busy_worker_outlives_its_broker(
    shop: ShopStack, buyer: Buyer, go_away: Callable[[ShopStack], None], ends_while_away: bool
) -> None:
    pid = shop.worker.container.child.pid
    with account_locked(buyer) as lock:
        first = buyer.place(simple_body(shop))
        assert wait_until(lambda: is_waiting_for_lock(shop), timeout_s=PATIENCE_S)
        go_away(shop)
        shop.worker.assert_log_exists("Connection to broker lost", timeout=NOTICED_S)
        if ends_while_away:
            lock.rollback()
            wait_for_order(shop, buyer)
        shop.broker.restart()
        shop.broker.ready()
    assert_created_once(shop, buyer, first)

    second = buyer.place(simple_body(shop))
    assert buyer.follow(second)["status"] == "awaiting_payment"
    assert shop.worker.container.status == "running"
    assert shop.worker.container.child.pid == pid
    assert "Unrecoverable error" not in shop.worker.container.logs_since_start()
