"""Machines whose clocks differ, and clocks that jump: orders are made at once, and what was left behind is found.

libfaketime (Debian's package `faketime`) gives a process a clock of its own, which the test moves while it runs.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from project.local.waiting import wait_until
from tests.journeys.shopping import PATIENCE_S, Buyer, count_orders, new_buyer, simple_body
from tests.nodes.shop_stack import ShopStack, build_shop_stack, drop_database

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
pytestmark = [
    pytest.mark.journey,
    pytest.mark.xdist_group("journeys"),
    pytest.mark.timeout(240),
    pytest.mark.skipif(not LIBRARIES, reason="needs libfaketime: apt-get install --no-install-recommends faketime"),
]


def give_clock(node: Any, clock: Path) -> None:
    """The node's own clock, which shows the real time and what stands in the file; the monotonic one is left alone."""
    clock.write_text("+0")
    node.container.child.env |= {
        "LD_PRELOAD": str(LIBRARIES[-1]),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.fixture(scope="module")
def clocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clocks")


def build(folder: Path, clocks: Path, *, sweep_s: str) -> ShopStack:
    stack = build_shop_stack(folder / "shop", extra_env={"SWEEP_INTERVAL_S": sweep_s})
    for name, node in (("web", stack.web), ("worker", stack.worker), ("beat", stack.beat)):
        give_clock(node, clocks / name)
    return stack


@pytest.fixture(scope="module")
def unswept(tmp_path_factory: pytest.TempPathFactory, clocks: Path) -> Iterator[ShopStack]:
    """Nobody sweeps: what a wake-up doesn't find isn't found."""
    stack = build(tmp_path_factory.mktemp("unswept"), clocks, sweep_s="3600")
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        drop_database(stack.database_url)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, clocks: Path) -> Iterator[ShopStack]:
    stack = build(tmp_path_factory.mktemp("swept"), clocks, sweep_s="2")
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        drop_database(stack.database_url)


def seconds_until_created(shop: ShopStack, buyer: Buyer) -> float:
    started, count = time.monotonic(), count_orders(shop, buyer.account_id)
    buyer.place(simple_body(shop))
    wait_until(lambda: count_orders(shop, buyer.account_id) > count, timeout_s=PATIENCE_S, poll_s=0.01)
    return time.monotonic() - started


@pytest.mark.parametrize("web", ["+0.02", "+5", "-5"])
def test_fresh_order_is_made_at_once_whatever_the_machines_clocks_show(unswept: ShopStack, clocks: Path, web: str) -> None:
    (clocks / "web").write_text("+0")
    buyer = new_buyer(unswept)
    seconds_until_created(unswept, buyer)  # the first one is slow: connections, plans
    (clocks / "web").write_text(web)
    took_s = sorted(seconds_until_created(unswept, buyer) for _ in range(5))
    print(f"web {web} s: accepted to created p50 {took_s[2]:.2f} s, slowest {took_s[-1]:.2f} s")
    assert took_s[2] < 1


@pytest.mark.parametrize("worker", ["-6", "+6", "-3600", "+3600"])
def test_what_was_left_behind_is_found_after_any_step_of_the_workers_clock(swept: ShopStack, clocks: Path, worker: str) -> None:
    (clocks / "worker").write_text("+0")
    buyer = new_buyer(swept)
    seconds_until_created(swept, buyer)
    (clocks / "worker").write_text(worker)
    time.sleep(2.5)  # a sweep sees the step
    swept.worker.kill("SIGSTOP")
    buyer.place(simple_body(swept))
    swept.broker.lose_everything()
    swept.worker.kill("SIGCONT")
    started = time.monotonic()
    assert wait_until(lambda: count_orders(swept, buyer.account_id) == 2, timeout_s=PATIENCE_S)
    took_s = time.monotonic() - started
    print(f"worker {worker} s: found after {took_s:.1f} s")
    assert took_s < 10
    assert "revoked" not in swept.worker.logs()


@pytest.mark.parametrize("beat", ["-6", "+3600", "-3600"])
def test_beat_makes_no_difference(swept: ShopStack, clocks: Path, beat: str) -> None:
    """Its clock is off, and so is what it has written down, if it writes anything."""
    (clocks / "worker").write_text("+0")
    (clocks / "beat").write_text("+3600")
    swept.beat.restart()
    time.sleep(3)
    (clocks / "beat").write_text(beat)
    swept.beat.restart()
    buyer = new_buyer(swept)
    swept.worker.kill("SIGSTOP")
    buyer.place(simple_body(swept))
    swept.broker.lose_everything()
    swept.worker.kill("SIGCONT")
    assert wait_until(lambda: count_orders(swept, buyer.account_id) == 1, timeout_s=10)
