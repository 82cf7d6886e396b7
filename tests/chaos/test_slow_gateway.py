"""A slow, hanging or silent Alipay doesn't delay orders and notifications, which don't need it.

Also, the load that the shop causes at Alipay.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from project.local.waiting import wait_until
from tests.chaos.books import check_books
from tests.chaos.conftest import IMPATIENT
from tests.chaos.order_scenario import ChaosShop, OrderScenario
from tests.nodes.shop_stack import build_shop_stack
from tests.variants import first_of

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("chaos-slow-gateway"), pytest.mark.timeout(240)]

TIMEOUT_S = 5
PATIENT = {**IMPATIENT, "ALIPAY_TIMEOUT_S": str(TIMEOUT_S), "WORK_LEASE_S": "45"}
# Orders and notifications take tens of milliseconds. This allows for a busy machine and is far below a
# timeout.
SOON_S = 2.5
QUERY, CLOSE = "alipay.trade.query", "alipay.trade.close"


@contextlib.contextmanager
def running(folder: Path, *, has_gateway_worker: bool, env: Mapping[str, str]) -> Iterator[ChaosShop]:
    shop = build_shop_stack(folder, extra_env=env, has_gateway_worker=has_gateway_worker)
    with shop.running(), contextlib.closing(ChaosShop(shop)) as chaos:
        yield chaos


@pytest.fixture(scope="module")
def _split(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosShop]:
    with running(tmp_path_factory.mktemp("slow") / "shop", has_gateway_worker=True, env=PATIENT) as chaos:
        yield chaos


@pytest.fixture
def chaos(_split: ChaosShop) -> Iterator[ChaosShop]:
    """A shop with a separate gateway worker.

    Afterwards Alipay works again, all work must be done and the books must be right.
    """
    yield _split
    with contextlib.suppress(psutil.NoSuchProcess):
        _split.shop.simulator.kill("SIGCONT")
    _split.control("DELETE", "faults")
    check_books(_split)


def on_the_way(chaos: ChaosShop, count: int, *, scans: bool = True) -> list[OrderScenario]:
    """Orders whose buyers are at Alipay's cashier."""

    def make(number: int) -> OrderScenario:
        scenario = chaos.scenario(f"unterwegs {number}")
        out_trade_no = scenario.open()
        if scans:
            scenario.scan(out_trade_no)
        return scenario

    return list(chaos.pool.map(make, range(count)))


def hang(chaos: ChaosShop) -> None:
    chaos.control(
        "POST", "faults", {"kind": "hang", "params": {"seconds": 30, "after_commit": False}, "times": None}
    )


def slow_down(chaos: ChaosShop, seconds: float) -> None:
    chaos.control("POST", "faults", {"kind": "slow", "params": {"seconds": seconds}, "times": None})


def seconds_of(deed: Callable[[], object]) -> float:
    started = time.monotonic()
    deed()
    return time.monotonic() - started


def pay_and_wait(scenario: OrderScenario) -> None:
    """Its buyer pays, and the notification is applied."""
    scenario.pay(f"{scenario.number}P1")
    scenario.wait_for(order="paid")


def are_closed(scenarios: Sequence[OrderScenario]) -> bool:
    numbers = [scenario.number for scenario in scenarios]
    found = scenarios[0].chaos.value(
        "SELECT count(*) FROM shop_order WHERE order_number = ANY(%s) AND status IN ('expired', 'cancelled')",
        numbers,
    )
    return bool(found == len(scenarios))


def requests_of(scenario: OrderScenario, method: str) -> list[dict[str, Any]]:
    requests = scenario.chaos.control(
        "GET", f"requests?out_trade_no={scenario.number}P1&method={method}&limit=200"
    )["requests"]
    return list(requests)


def count_calls(scenario: OrderScenario, method: str) -> int:
    return len(requests_of(scenario, method))


def attempts_of(chaos: ChaosShop, scenarios: Sequence[OrderScenario]) -> list[int]:
    rows = chaos.rows(
        "SELECT attempts FROM shop_order WHERE order_number = ANY(%s)",
        [scenario.number for scenario in scenarios],
    )
    return [row["attempts"] for row in rows]


@pytest.mark.parametrize(
    "fall_ill", first_of(hang, lambda chaos: slow_down(chaos, 4.0)), ids=["hangs", "answers after 4 s"]
)
def test_orders_and_notifications_do_not_wait_for_a_sick_alipay(
    chaos: ChaosShop, fall_ill: Callable[[ChaosShop], None]
) -> None:
    """40 open payments are due for a query, and 20 of their orders have expired."""
    waiting, payers = on_the_way(chaos, 40), on_the_way(chaos, 5)
    fall_ill(chaos)
    for scenario in waiting[:20]:
        scenario.expire()
    for scenario in waiting:
        scenario.poll()
    created, paid = [], []
    for payer in payers:
        created.append(seconds_of(lambda: chaos.scenario("neu")))
        paid.append(seconds_of(partial(pay_and_wait, payer)))
        time.sleep(0.5)  # Alipay is queried all the while
    assert max(created) < SOON_S, created
    assert max(paid) < SOON_S, paid


@pytest.mark.slow
def test_one_worker_for_all_is_held_up_by_a_hanging_alipay(tmp_path: Path) -> None:
    """The control of the test above: the same with one worker for all queues."""
    with running(tmp_path / "shop", has_gateway_worker=False, env=PATIENT) as chaos:
        waiting = on_the_way(chaos, 40)
        hang(chaos)
        for scenario in waiting[:20]:
            scenario.expire()
        for scenario in waiting:
            scenario.poll()

        def is_stuck() -> bool:
            return bool(chaos.control("GET", "requests?limit=500")["requests"][0]["fault"] == "hang")

        assert wait_until(is_stuck, timeout_s=10)
        time.sleep(1.5)  # now both children of the worker wait, one for queries and one for closes
        assert seconds_of(lambda: chaos.scenario("neu")) > SOON_S
        chaos.control("DELETE", "faults")


def test_expiring_orders_are_closed_side_by_side(chaos: ChaosShop) -> None:
    """Sequential calls of 0.2 s would take over a minute.

    They use few connections, to Alipay and to PostgreSQL.
    """
    expiring = on_the_way(chaos, 150)
    slow_down(chaos, 0.2)
    for scenario in expiring:
        scenario.expire()
    (gateway,) = chaos.shop.extra_workers
    took_s = seconds_of(lambda: wait_until(lambda: are_closed(expiring), timeout_s=60, poll_s=0.1))
    connections = psutil.Process(gateway.container.child.pid).net_connections(kind="tcp")
    ports = {
        name: int(url.rsplit(":", 1)[1].split("/")[0])
        for name, url in (("db", chaos.shop.database_url), ("alipay", chaos.shop.simulator_url))
    }
    used = {
        name: sum(1 for one in connections if one.raddr and one.raddr.port == port)
        for name, port in ports.items()
    }
    assert are_closed(expiring)
    assert took_s < 20
    # One for each thread that runs tasks and one more; one for each concurrent call.
    assert used["db"] <= 5
    assert used["alipay"] <= 64
    assert [count_calls(scenario, QUERY) for scenario in expiring] == [1] * 150
    assert [count_calls(scenario, CLOSE) for scenario in expiring] == [1] * 150


@pytest.mark.slow
def test_exceeding_the_rate_slows_calls_down_and_costs_no_attempt(chaos: ChaosShop) -> None:
    """120 calls are wanted at once, and Alipay accepts 5 per second.

    Without slowing down, most calls would be refused.
    """
    expiring = on_the_way(chaos, 60)
    chaos.control("POST", "faults", {"kind": "call_limited", "params": {"per_second": 5}, "times": None})
    for scenario in expiring:
        scenario.expire()
    assert wait_until(lambda: are_closed(expiring), timeout_s=120, poll_s=0.2)
    calls = [
        one["fault"]
        for scenario in expiring
        for method in (QUERY, CLOSE)
        for one in requests_of(scenario, method)
    ]
    turned_away = calls.count("call_limited")
    print(f"{turned_away} of {len(calls)} calls were turned away")
    assert 0 < turned_away < len(calls) / 2
    assert max(attempts_of(chaos, expiring)) == 1


@pytest.mark.slow
def test_nothing_is_counted_against_work_that_a_silent_alipay_could_not_do(chaos: ChaosShop) -> None:
    """During the outage only a few calls are made and other rows aren't touched. Everything is done as soon
    as Alipay is back.
    """
    expiring = on_the_way(chaos, 150)
    chaos.shop.simulator.kill("SIGSTOP")
    numbers = [scenario.number for scenario in expiring]
    chaos.rows(
        "UPDATE shop_order SET expires_at = now() - interval '2 minutes', closes_at = now(), available_at = "
        "now() WHERE order_number = ANY(%s)",
        numbers,
    )
    time.sleep(3 * TIMEOUT_S)
    asked = chaos.value(
        "SELECT count(*) FROM shop_order WHERE order_number = ANY(%s) AND attempts > 0", numbers
    )
    tries = chaos.value("SELECT sum(attempts) FROM shop_order WHERE order_number = ANY(%s)", numbers)
    chaos.shop.simulator.kill("SIGCONT")
    assert asked <= 64 + 5
    assert tries <= 64 + 10
    assert wait_until(lambda: are_closed(expiring), timeout_s=40, poll_s=0.2)


@pytest.mark.slow
def test_abandoned_payment_costs_alipay_eight_queries_at_most(tmp_path: Path) -> None:
    """The life of an order and its payment, at sixty times the speed. One query a minute would be 32."""
    env = {
        **PATIENT,
        "PAYMENT_FIRST_QUERY_S": "0.5",
        "PAYMENT_QUERY_INTERVAL_S": "1",
        "SWEEP_INTERVAL_S": "0.2",
    }
    with running(tmp_path / "shop", has_gateway_worker=True, env=env) as chaos:
        scanned, unseen = on_the_way(chaos, 5), on_the_way(chaos, 5, scans=False)
        chaos.rows(
            """
            UPDATE shop_order
                SET expires_at = created_at + interval '30 seconds', closes_at = created_at
                + interval '32 seconds',
                available_at = created_at + interval '32 seconds' WHERE status = 'awaiting_payment'
            """
        )
        chaos.rows("UPDATE payments_payment SET expires_at = created_at + interval '30 seconds'")
        assert wait_until(lambda: are_closed([*scanned, *unseen]), timeout_s=60, poll_s=1)
        queries = [count_calls(scenario, QUERY) for scenario in (*scanned, *unseen)]
        assert max(queries) <= 8, queries
        assert min(queries) >= 4, queries
