"""`/metrics`: figures from the database, their cache, and the answer while the database is away."""

import fcntl
import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client import Metric

from payments.domain.upkeep import silence, verdicts
from payments.domain.upkeep.audit.run import RULES, Verdict
from payments.models import Payment
from project import gauges, scrape
from shop import clock, metric_files
from shop.domain.measures import measurements
from shop.domain.work import turns
from tests.factories import make_buyer, make_course, make_order, make_request
from tests.metrics.scraping import Scrape
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import pay, start
from worker.schedule import JOBS

pytestmark = pytest.mark.django_db


def read() -> Scrape:
    return Scrape(Client().get("/metrics").content.decode())


def test_metrics_count_what_waits() -> None:
    make_request(make_buyer(), make_course(), now=clock.now())
    seen = read()
    assert seen.total("work_due_rows", table="shop_orderrequest") == 1
    assert seen.total("work_due_rows", table="payments_notification") == 0
    assert seen.total("work_dead_rows", table="shop_orderrequest") == 0
    assert {part for part in gauges.PARTS if seen.total("shop_asked", part=part) == 1} == set(gauges.PARTS)


def test_metrics_have_the_memory_of_valkey(valkey: redis.Redis) -> None:
    before = read().total("valkey_memory_used_ratio", server="store")
    valkey.set("filling", "x" * 30_000_000)
    seen = read()
    assert (
        0.1 < seen.total("valkey_memory_used_ratio", server="store") - before < 0.4
    )  # 30 MB of 256, plus the server's overhead
    assert seen.total("valkey_reachable", server="broker") == 1


@pytest.mark.usefixtures("valkey_away")
def test_valkey_outage_is_in_the_metrics() -> None:
    seen = read()
    assert seen.total("valkey_reachable", server="store") == 0
    assert seen.total("valkey_memory_used_ratio", server="store") == 0


def test_orders_and_money_are_the_books() -> None:
    gateway = MemoryGateway(clock.now)
    make_order(make_buyer(), make_course("7.00"), now=clock.now())
    pay(make_order(make_buyer(), make_course("20.01"), now=clock.now()), gateway, now=clock.now())
    seen = read()
    assert seen.total("orders_awaiting_payment") == 1
    assert seen.total("order_events_total", kind="placed") == 2
    assert seen.total("order_events_total", kind="paid") == 1
    assert seen.total("ledger_fen_total", debit="alipay_cash", credit="unapplied") == 2001
    assert seen.total("ledger_fen_total", debit="unapplied", credit="sales") == 2001


def test_audit_is_in_the_metrics_with_its_age() -> None:
    assert "audit_age_seconds" not in read().names
    verdicts.note_verdicts(
        [Verdict(RULES[0], 3, ()), Verdict(RULES[1], 0, ())], now=clock.database_now() - timedelta(hours=1)
    )
    seen = read()
    assert (
        seen.total("audit_broken_rows", rule=RULES[0].name),
        seen.total("audit_broken_rows", rule=RULES[1].name),
    ) == (3, 0)
    assert seen.total("audit_age_seconds") == pytest.approx(3600, abs=30)


def test_jobs_are_overdue_from_when_they_should_have_been_sent() -> None:
    now = clock.database_now()
    by_name = {job.task: job for job in JOBS}
    assert set(read().labels_of("beat_job_overdue_seconds", "name")) == set(by_name)
    turns.take_turn("shop.expire_coupons", since=now, now=now - timedelta(minutes=25))
    turns.take_turn("shop.purge_tokens", since=now, now=now - timedelta(minutes=59))
    turns.take_turn(
        "payments.audit", since=now, now=by_name["payments.audit"].due_since(now) - timedelta(seconds=1)
    )
    seen = read()
    assert seen.total("beat_job_overdue_seconds", name="shop.expire_coupons") == pytest.approx(
        15 * 60, abs=30
    )
    assert seen.total("beat_job_overdue_seconds", name="shop.purge_tokens") == 0
    since_due = (now - by_name["payments.audit"].due_since(now)).total_seconds()
    assert seen.total("beat_job_overdue_seconds", name="payments.audit") == pytest.approx(since_due, abs=30)


def test_gateway_that_is_silent_or_turns_away() -> None:
    now = clock.database_now()
    assert (read().total("gateway_silent_seconds"), read().total("gateway_turned_away_rows")) == (0, 0)
    measurements.note_first(silence.NAME, {}, now=now - timedelta(minutes=2))
    payments = [
        start(make_order(make_buyer(), make_course(), now=now), MemoryGateway(lambda: now), now=now)
        for _ in range(6)
    ]
    errors = {
        "GatewayUnsigned: unsigned error 40002 isv.invalid-app-id": 4,
        "GatewayRejected: isv.insufficient-isv-permissions 权限不足": 5,
        "GatewayRejected: isv.invalid-signature": 3,  # not yet
        "GatewayRejected: ACQ.SELLER_BALANCE_NOT_ENOUGH": 9,  # the business
        "GatewayUnreachable: ReadTimeout": 9,
        "GatewayRejected: TRADE_NOT_EXIST": 9,
    }
    for payment, (error, attempts) in zip(payments, errors.items(), strict=True):
        Payment.objects.filter(pk=payment.pk).update(attempts=attempts, last_error=error)
    seen = read()
    assert seen.total("gateway_silent_seconds") == pytest.approx(120, abs=30)
    assert seen.total("gateway_turned_away_rows") == 2


def broken(*args: Any) -> Any:
    raise OperationalError("the server closed the connection unexpectedly")
    yield


def test_a_part_that_cannot_be_had_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gauges.PARTS, "money", broken)
    seen = read()
    assert seen.total("shop_asked", part="money") == 0
    assert seen.total("shop_asked", part="work") == 1
    assert "ledger_fen_total" not in seen.names


def test_a_part_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(now: datetime) -> Iterator[Metric]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(30)")
        yield from ()

    monkeypatch.setattr(gauges, "STATEMENT_MS", 100)
    monkeypatch.setitem(gauges.PARTS, "work", hang)  # the first
    seen = read()
    assert {part for part in gauges.PARTS if seen.total("shop_asked", part=part) == 0} == {"work"}


def test_all_parts_together_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "ALL_S", 0)
    assert {read().total("shop_asked", part=part) for part in gauges.PARTS} == {0}


def test_without_a_database_the_process_still_reports_its_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "database_now", lambda: next(broken()))
    seen = read()
    assert {seen.total("shop_asked", part=part) for part in gauges.PARTS} == {0}
    assert seen.names >= {"gateway_breaker_open", "valkey_reachable"}
    assert "work_due_rows" not in seen.names


# --- What is kept -------------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times at which the database was queried; each answer is different."""
    times: list[float] = []

    def ask() -> bytes:
        times.append(time.monotonic())
        return b"answer %d" % len(times)

    monkeypatch.setattr(scrape, "_ask", ask)
    return times


def test_an_answer_is_kept_for_all_processes(
    tmp_path: Path, asked: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [scrape._read_shop(tmp_path) for _ in range(3)] == [b"answer 1"] * 3
    later = time.monotonic() + scrape.FRESH_S
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert [scrape._read_shop(tmp_path) for _ in range(3)] == [b"answer 2"] * 3


def test_an_answer_of_another_boot_is_not_kept(tmp_path: Path, asked: list[float]) -> None:
    (tmp_path / "shop.prom").write_bytes(b"%f\nof later" % (time.monotonic() + 1000))
    assert scrape._read_shop(tmp_path) == b"answer 1"


def test_concurrent_scrapes_share_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    count = iter(range(100))

    def slow() -> bytes:
        time.sleep(0.2)
        return b"answer %d" % next(count)

    monkeypatch.setattr(scrape, "_ask", slow)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: scrape._read_shop(tmp_path), range(8))) == {b"answer 0"}


def test_scrape_does_not_wait_for_a_hanging_one(
    tmp_path: Path, asked: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another scrape queries a hanging database."""
    monkeypatch.setattr(scrape, "PATIENCE_S", 0.1)
    with (tmp_path / "shop.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert scrape._read_shop(tmp_path) == b""
    assert asked == []
    assert scrape._read_shop(tmp_path) == b"answer 1"


def test_without_a_folder_each_scrape_asks(asked: list[float]) -> None:
    assert metric_files.FOLDER is None
    assert [scrape._read_shop(None) for _ in range(2)] == [b"answer 1", b"answer 2"]


def test_a_scrape_takes_few_statements() -> None:
    make_order(make_buyer(), make_course(), now=clock.now())
    with CaptureQueriesContext(connection) as few:
        read()
    assert len(few) <= 70


def test_no_label_has_personal_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """No label contains anything about a buyer, an order or its amounts."""
    order = make_order(make_buyer(username="somebody"), make_course("123.45"), now=clock.now())
    pay(order, MemoryGateway(clock.now), now=clock.now())
    text = Client().get("/metrics").content.decode()
    labels = set(re.findall(r'="([^"]*)"', text))
    assert not {
        label for label in labels if "somebody" in label or order.order_number in label or "123.45" in label
    }
