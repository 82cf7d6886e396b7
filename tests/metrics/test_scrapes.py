"""Two web processes and workers, scraped in turns: every number is for the whole service, and no counter
decreases.
"""

import itertools
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from project.local.waiting import wait_until
from tests.journeys.shopping import Buyer, new_buyer
from tests.metrics.conftest import Observed
from tests.metrics.losses import kill_pool_in_the_middle_of_an_order
from tests.metrics.scraping import Scrape, scrape, steps_back
from tests.nodes.shop_stack import ShopStack

pytestmark = [pytest.mark.journey, pytest.mark.xdist_group("metrics")]

COURSES = "api/v1/courses/"


@pytest.fixture
def buyer(observed: Observed) -> Buyer:
    return new_buyer(observed.stack)


def web_processes(stack: ShopStack) -> list[psutil.Process]:
    """Granian's worker processes."""
    return [
        process
        for process in psutil.Process(stack.web.container.child.pid).children(recursive=True)
        if process.num_threads() > 4
    ]


def get(stack: ShopStack, path: str, *, times: int) -> None:
    """Each on its own connection, so that all processes get some."""
    for _ in range(times):
        httpx.get(f"{stack.web_url}/{path}", trust_env=False, timeout=20)


def series_of(stack: ShopStack, count: int = 6) -> list[Scrape]:
    return [scrape(stack.web_url) for _ in range(count)]


def test_counters_are_sums_and_never_step_back(observed: Observed, buyer: Buyer) -> None:
    first = scrape(observed.stack.web_url)
    get(observed.stack, COURSES, times=40)
    buyer.buy_paid()
    scrapes = [first, *series_of(observed.stack)]
    for before, after in itertools.pairwise(scrapes):
        assert steps_back(before, after) == {}
    last = scrapes[-1]

    def grew(name: str, **labels: str) -> float:
        return last.total(name, **labels) - first.total(name, **labels)

    assert grew("http_request_seconds_count", route=COURSES, method="GET", status="200") == 40
    assert grew("http_request_seconds_count", route="api/v1/orders/", method="POST", status="202") == 1
    # The worker of the database and that of the gateway count into the same folder.
    assert grew("task_seconds_count", task="shop.create_orders", outcome="success") >= 1
    assert grew("alipay_notifications_total", outcome="new") == 1
    # A web process's answer includes what the other one has counted.
    assert len({scrape.total("http_request_seconds_count", route=COURSES) for scrape in scrapes[1:]}) == 1
    # Two web processes, two of the pool and the gateway worker.
    assert len(list((observed.stack.folder / "metrics").glob("histogram_*.db"))) >= 4


def test_the_databases_totals_are_the_books(observed: Observed, buyer: Buyer) -> None:
    buyer.buy_paid()

    def booked(read: Scrape) -> dict[tuple[str, str], float]:
        return {
            (dict(pairs)["debit"], dict(pairs)["credit"]): value
            for (name, pairs), value in read.items()
            if name == "ledger_fen_total"
        }

    def is_same() -> bool:
        rows = observed.stack.rows(
            "SELECT debit, credit, sum(amount * 100)::bigint AS fen FROM shop_ledgertransfer WHERE currency "
            "= 'CNY' GROUP BY 1, 2"
        )
        return booked(scrape(observed.stack.web_url)) == {
            (row["debit"], row["credit"]): row["fen"] for row in rows
        }

    # An answer is cached for five seconds.
    assert wait_until(is_same, timeout_s=10, poll_s=0.5)
    assert scrape(observed.stack.web_url).total("order_events_total", kind="paid") >= 1


def test_a_killed_web_process_takes_nothing_with_it(observed: Observed, buyer: Buyer) -> None:
    get(observed.stack, COURSES, times=20)
    buyer.buy_paid()
    before = scrape(observed.stack.web_url)
    victim, *others = web_processes(observed.stack)
    assert others
    victim.kill()
    assert wait_until(
        lambda: len(web_processes(observed.stack)) == 2 and victim not in web_processes(observed.stack),
        timeout_s=40,
    )
    assert wait_until(observed.stack.is_ready, timeout_s=40)
    get(observed.stack, COURSES, times=20)
    for after in series_of(observed.stack):
        assert steps_back(before, after) == {}
        before = after
    assert before.total("http_request_seconds_count", route=COURSES) >= 40


def test_a_task_whose_process_was_killed_is_counted(observed: Observed, buyer: Buyer) -> None:
    def lost() -> float:
        return scrape(observed.stack.web_url).total("tasks_lost_total", task="shop.create_orders")

    before = lost()
    kill_pool_in_the_middle_of_an_order(buyer)
    assert wait_until(lambda: lost() == before + 1, timeout_s=20, poll_s=0.5)


def test_random_addresses_add_no_series(observed: Observed) -> None:
    kinds = (
        "{}",
        "api/v1/{}/",
        "api/v1/orders/{}/",
        "courses/{}/",
        "pay/{}/",
        "admin/{}/",
        "static/{}.js",
        "orders/{}/?wait={}",
    )
    url = observed.stack.web_url

    def visit(number: int) -> int:
        # With a letter: digits alone are a course's id.
        path = kinds[number % len(kinds)].replace("{}", f"x{secrets.token_hex(8)}")
        return client.request(
            "GET" if number % 5 else f"X{secrets.token_hex(3).upper()}", f"{url}/{path}"
        ).status_code

    with httpx.Client(trust_env=False, timeout=20) as client, ThreadPoolExecutor(4) as threads:
        list(threads.map(visit, range(120)))  # every kind, by every method, in both processes
        before = series_of(observed.stack, 2)[-1]  # a scrape counts itself for the next one
        list(threads.map(visit, range(1000)))
        after = scrape(url)
    grown = [dict(pairs) for name, pairs in set(after) - set(before) if name.startswith("http_")]
    assert len(before.labels_of("http_request_seconds_count", "route")) < 60
    # A busy machine may produce one more status.
    seen = {
        (dict(pairs)["route"], dict(pairs)["method"])
        for name, pairs in before
        if name == "http_request_seconds_count"
    }
    assert [labels for labels in grown if (labels["route"], labels["method"]) not in seen] == []
    assert after.total("http_request_seconds_count") >= before.total("http_request_seconds_count") + 1000


def test_workers_answer_on_a_port_of_their_own(observed: Observed, tmp_path: Path) -> None:
    for listen in observed.ports.values():
        assert scrape(f"http://127.0.0.1:{listen}").total("task_seconds_count", task="worker.sweep") > 0
