"""Machines with different clocks, and clocks that jump: orders are created at once, and unfinished work is
found.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from project.local.waiting import wait_until
from tests.journeys.shopping import PATIENCE_S, Buyer, count_orders, new_buyer, simple_body
from tests.journeys.test_outages import ANSI
from tests.nodes.shop_stack import ShopStack, build_shop_stack
from tests.nodes.skewed_clock import COMPILER, SkewedClock, build_library, make_clock

pytestmark = [
    pytest.mark.journey,
    pytest.mark.xdist_group("skewed-clocks"),
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        COMPILER is None, reason="needs a C compiler: apt-get install --no-install-recommends gcc libc6-dev"
    ),
]


@dataclass(frozen=True)
class Skewed:
    """A shop with a clock for each of its programs."""

    shop: ShopStack
    clocks: Mapping[str, SkewedClock]

    def set_right(self) -> None:
        for clock in self.clocks.values():
            clock.move(0)


@contextmanager
def running(folder: Path, *, sweep_s: str) -> Iterator[Skewed]:
    shop = build_shop_stack(folder / "shop", extra_env={"SWEEP_INTERVAL_S": sweep_s})
    library = build_library(folder)
    clocks = {}
    for name, node in (("web", shop.web), ("worker", shop.worker), ("beat", shop.beat)):
        clocks[name] = make_clock(library, folder / f"{name}-clock")
        child = node.container.child
        child.env = {**(child.env or {}), **clocks[name].env}
    with shop.running():
        yield Skewed(shop, clocks)


@pytest.fixture(scope="module")
def unswept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Skewed]:
    """Without the sweep: only wake-ups find work."""
    with running(tmp_path_factory.mktemp("unswept"), sweep_s="300") as skewed:
        yield skewed


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Skewed]:
    with running(tmp_path_factory.mktemp("swept"), sweep_s="2") as skewed:
        yield skewed


def seconds_until_created(shop: ShopStack, buyer: Buyer) -> float:
    count = count_orders(shop, buyer.account_id)
    started = time.monotonic()
    buyer.place(simple_body(shop))
    assert wait_until(
        lambda: count_orders(shop, buyer.account_id) > count, timeout_s=PATIENCE_S, poll_s=0.005
    )
    return time.monotonic() - started


def has_orders(shop: ShopStack, buyer: Buyer, count: int) -> bool:
    return count_orders(shop, buyer.account_id) == count


def place_behind_the_workers_back(skewed: Skewed, buyer: Buyer) -> None:
    """Places an order whose wake-up gets lost."""
    skewed.shop.worker.kill("SIGSTOP")
    buyer.place(simple_body(skewed.shop))
    skewed.shop.broker.lose_everything()
    skewed.shop.worker.kill("SIGCONT")


def last_created_at(shop: ShopStack) -> float:
    """When the worker last created orders, according to its log: seconds since 1970 by the worker's clock."""
    lines = [
        ANSI.sub("", line)
        for line in shop.worker.container.child.log_text().splitlines()
        if "orders_created" in line
    ]
    return datetime.fromisoformat(lines[-1].split()[0]).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()


def test_a_process_with_a_clock_of_its_own(tmp_path: Path) -> None:
    """The control: the programs below have these clocks."""
    clock = make_clock(build_library(tmp_path), tmp_path / "clock")
    clock.move(-3600.5)
    program = (
        "import time, datetime; a = time.monotonic(); time.sleep(0.05); print(time.time(), "
        "datetime.datetime.now().timestamp(), a)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], env=clock.env, capture_output=True, text=True, check=True
    ).stdout.split()
    assert float(told[0]) == pytest.approx(time.time() - 3600.5, abs=2)
    assert float(told[1]) == pytest.approx(time.time() - 3600.5, abs=2)
    assert float(told[2]) == pytest.approx(time.monotonic(), abs=2)


@pytest.mark.parametrize(
    "web_s", [5, *(pytest.param(web_s, marks=pytest.mark.slow) for web_s in (0.02, -5, 1800))]
)
def test_fresh_order_is_made_at_once_whatever_webs_clock_shows(unswept: Skewed, web_s: float) -> None:
    unswept.set_right()
    buyer = new_buyer(unswept.shop)
    right = [seconds_until_created(unswept.shop, buyer) for _ in range(8)]
    unswept.clocks["web"].move(web_s)
    wrong = [seconds_until_created(unswept.shop, buyer) for _ in range(8)]
    print(
        f"accepted to created: {statistics.median(right):.3f} s, with web {web_s} s ahead "
        f"{statistics.median(wrong):.3f} s"
    )
    assert max(wrong) < 3
    assert statistics.median(wrong) < 2 * statistics.median(right) + 0.1


@pytest.mark.parametrize(
    "worker_s", [-3600, *(pytest.param(worker_s, marks=pytest.mark.slow) for worker_s in (-6, 6, -60, 3600))]
)
def test_what_was_left_behind_is_found_after_any_step_of_the_workers_clock(
    swept: Skewed, worker_s: float
) -> None:
    swept.set_right()
    buyer = new_buyer(swept.shop)
    seconds_until_created(swept.shop, buyer)
    swept.clocks["worker"].move(worker_s)
    for count in (2, 3):  # the sweep that was due when the clock was set, and later ones
        place_behind_the_workers_back(swept, buyer)
        started = time.monotonic()
        assert wait_until(partial(has_orders, swept.shop, buyer, count), timeout_s=10)
        print(f"worker {worker_s} s ahead: found after {time.monotonic() - started:.1f} s")
    assert "revoked" not in swept.shop.worker.logs()
    # the worker did have that clock
    assert last_created_at(swept.shop) == pytest.approx(time.time() + worker_s, abs=30)


@pytest.mark.slow
@pytest.mark.parametrize("beat_s", [-6, -60, -3600])
def test_beats_clock_makes_no_difference(swept: Skewed, beat_s: float) -> None:
    """It was an hour ahead, whatever it may have stored then."""
    swept.set_right()
    swept.clocks["beat"].move(3600)
    swept.shop.beat.restart()
    time.sleep(2)
    swept.clocks["beat"].move(beat_s)
    swept.shop.beat.restart()
    buyer = new_buyer(swept.shop)
    place_behind_the_workers_back(swept, buyer)
    assert wait_until(lambda: count_orders(swept.shop, buyer.account_id) == 1, timeout_s=10)


def test_beats_own_jobs_go_on_after_a_step_back(swept: Skewed) -> None:
    """Beat asks PostgreSQL what is due, by PostgreSQL's clock."""
    swept.set_right()
    swept.shop.beat.restart()
    swept.clocks["beat"].move(-3600)
    swept.shop.rows("UPDATE shop_turn SET taken_at = now() - interval '2 days'")
    assert wait_until(
        lambda: (
            swept.shop.value("SELECT count(*) FROM shop_turn WHERE taken_at < now() - interval '1 minute'")
            == 0
        ),
        timeout_s=20,
    )
