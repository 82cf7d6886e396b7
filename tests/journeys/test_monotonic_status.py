"""A buyer never sees an older status after a newer one, whatever happens to Valkey.

Valkey keeps everything but its last second.
"""

import time
from collections.abc import Callable

import pytest

from project.local.waiting import wait_until
from shop.domain.polling.answer_cache import REMEMBERED_S
from tests.journeys.shopping import PATIENCE_S, Buyer, account_locked, simple_body
from tests.journeys.test_outages import is_waiting_for_lock, wait_for_order
from tests.nodes.shop_stack import ShopStack
from tests.variants import first_of

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("journeys"), pytest.mark.timeout(240)]


def killed(shop: ShopStack) -> None:
    shop.broker.kill("SIGKILL")


def stopped(shop: ShopStack) -> None:
    shop.broker.kill("SIGTERM")


@pytest.mark.parametrize("go_away", first_of(killed, stopped))
def test_status_is_never_taken_back(
    shop: ShopStack, buyer: Buyer, go_away: Callable[[ShopStack], None]
) -> None:
    time.sleep(REMEMBERED_S + 1)  # until the web process caches its answers
    with account_locked(buyer):
        number = buyer.place(simple_body(shop))
        assert wait_until(lambda: is_waiting_for_lock(shop), timeout_s=PATIENCE_S)
        assert buyer.api.get(f"orders/{number}/")["status"] == "pending"
        time.sleep(1.2)  # what is written by then survives a kill
        assert buyer.api.get(f"orders/{number}/")["status"] == "pending"
        go_away(shop)
    wait_for_order(shop, buyer)
    assert buyer.api.get(f"orders/{number}/")["status"] == "awaiting_payment"
    shop.broker.restart()
    shop.broker.ready()
    seen = set()
    until = time.monotonic() + REMEMBERED_S
    while time.monotonic() < until:
        seen.add(buyer.api.get(f"orders/{number}/")["status"])
        time.sleep(0.05)
    assert seen == {"awaiting_payment"}
