"""Gauges of the whole shop, from the database and Valkey, each read through an index or from a stored
measurement.

A part that can't be read is left out and has the value 0 in `shop_asked`: no number is better than a stale
one.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from payments.desk.figures import count_waiting
from payments.domain.upkeep.silence import find_silent_since
from payments.domain.upkeep.turned_away import count_turned_away
from payments.domain.upkeep.verdicts import find_verdicts
from payments.models import BillDifference
from payments.states import DifferenceStatus
from shop import broker_address, clock, redis_address
from shop.domain import sql
from shop.domain.measures import order_states, totals
from shop.domain.work import due_rows
from shop.models import Order, Turn
from shop.states import OrderStatus
from worker.schedule import JOBS
from worker.tasks import SWEPT

log = structlog.get_logger(__name__)

# The time limits of one statement and of all parts. A statement normally takes milliseconds; the total stays
# below Prometheus's timeout for a scrape.
STATEMENT_MS, ALL_S = 2000, 5

Part = Callable[[datetime], Iterator[Metric]]


class ShopCollector(Collector):
    """Collects all parts that can be read in time."""

    def collect(self) -> Iterator[Metric]:
        found: dict[str, list[Metric]] = {}
        try:
            with transaction.atomic():
                sql.write(f"SET LOCAL statement_timeout = {STATEMENT_MS}", [])
                _ask(found, now=clock.database_now())
        except DatabaseError as error:
            log.warning("metrics_without_database", error=str(error))
        asked = GaugeMetricFamily("shop_asked", "1 if this part could be read, else 0.", labels=["part"])
        for name in PARTS:
            asked.add_metric([name], 1 if name in found else 0)
            yield from found.get(name, ())
        yield asked
        yield from valkey_fill()


def _ask(found: dict[str, list[Metric]], *, now: datetime) -> None:
    """Reads the parts into `found`, by name.

    A scrape occupies a place that a buyer could use, so parts that can't be read in time are skipped.
    """
    deadline = time.monotonic() + ALL_S
    for name, part in PARTS.items():
        if time.monotonic() >= deadline:
            break
        try:
            with transaction.atomic():
                found[name] = list(part(now))
        except DatabaseError as error:
            log.warning("metrics_part_missing", part=name, error=str(error))


def work_rows(now: datetime) -> Iterator[Metric]:
    due = GaugeMetricFamily("work_due_rows", "Rows that are due and wait for a worker.", labels=["table"])
    oldest = GaugeMetricFamily(
        "work_oldest_due_seconds", "How long the oldest due row has been due.", labels=["table"]
    )
    dead = GaugeMetricFamily(
        "work_dead_rows", "Rows that the shop has given up and that wait for staff.", labels=["table"]
    )
    for swept in SWEPT:
        table = [due_rows.table_of(swept.model)]
        waiting, first_at = due_rows.count_due(swept.model, now=now)
        due.add_metric(table, waiting)
        oldest.add_metric(table, (now - first_at if first_at else timedelta()).total_seconds())
        dead.add_metric(table, swept.model.objects.filter(dead_at__isnull=False).count())
    yield from (due, oldest, dead)


def people(now: datetime) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "waiting_for_people", "What waits for staff on the desk's dashboard.", labels=["what"]
    )
    counts = count_waiting()
    for what in ("refunds_to_approve", "refunds_to_explain", "refunds_failed", "notifications_quarantined"):
        waiting.add_metric([what], getattr(counts, what))
    yield waiting


def orders(now: datetime) -> Iterator[Metric]:
    unpaid = Order.objects.filter(status=OrderStatus.AWAITING_PAYMENT).count()
    states = GaugeMetricFamily("orders", "Orders by their state, as of the last minute.", labels=["status"])
    for status, count in order_states.read_order_states().items():
        states.add_metric([status], count)
    yield states
    yield GaugeMetricFamily(
        "orders_awaiting_payment", "Orders that are neither paid nor closed.", value=unpaid
    )
    events = CounterMetricFamily(
        "order_events", "Entries in the orders' timelines, by kind.", labels=["kind"]
    )
    for kind, count in totals.read_totals(totals.ORDER_EVENTS).items():
        events.add_metric([kind], count)
    yield events


def money(now: datetime) -> Iterator[Metric]:
    fen = CounterMetricFamily(
        "ledger_fen",
        "Amounts booked from one account of the ledger to another, in fen.",
        labels=["debit", "credit"],
    )
    beili = CounterMetricFamily("ledger_beili", "The same in 贝里.", labels=["debit", "credit"])
    for kind, amount in totals.read_totals(totals.LEDGER).items():
        currency, debit, credit = kind.split(":")
        if currency == "CNY":
            fen.add_metric([debit, credit], amount)
        else:
            beili.add_metric([debit, credit], amount // 100)
    yield from (fen, beili)


def bills(now: datetime) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "bill_differences",
        "Differences between the gateway's bills and the books that wait for staff.",
        value=BillDifference.objects.filter(status=DifferenceStatus.OPEN).count(),
    )


def audit(now: datetime) -> Iterator[Metric]:
    broken = GaugeMetricFamily(
        "audit_broken_rows", "Rows that broke a rule of the books at the last audit.", labels=["rule"]
    )
    age = GaugeMetricFamily(
        "audit_age_seconds", "How long ago the last audit was. Absent before the first one."
    )
    found = find_verdicts()
    if found is not None:
        verdicts, taken_at = found
        for rule, count in verdicts.items():
            broken.add_metric([rule], count)
        age.add_metric([], (now - taken_at).total_seconds())
    yield from (broken, age)


def jobs(now: datetime) -> Iterator[Metric]:
    overdue = GaugeMetricFamily(
        "beat_job_overdue_seconds",
        "How long beat's job has been overdue.",
        labels=["name"],
    )
    taken = dict(Turn.objects.filter(name__in=[job.task for job in JOBS]).values_list("name", "taken_at"))
    for job in JOBS:
        taken_at, due_since = taken.get(job.task), job.due_since(now)
        # When it became due: an interval after it was last sent, or at its scheduled time.
        due_at = None if taken_at is None else taken_at + job.every if job.every else due_since
        is_due = taken_at is not None and taken_at < due_since
        overdue.add_metric([job.task], (now - due_at).total_seconds() if is_due and due_at is not None else 0)
    yield overdue


def gateway(now: datetime) -> Iterator[Metric]:
    since = find_silent_since()
    silent = GaugeMetricFamily(
        "gateway_silent_seconds", "How long the gateway has been silent, as seen by a worker."
    )
    silent.add_metric([], (now - since).total_seconds() if since else 0)
    turned_away = GaugeMetricFamily(
        "gateway_turned_away_rows",
        "Rows whose calls the gateway keeps refusing because of a key, an app or a contract.",
    )
    turned_away.add_metric([], count_turned_away())
    yield from (silent, turned_away)


PARTS: dict[str, Part] = {
    "work": work_rows, "people": people, "orders": orders, "money": money, "audit": audit, "jobs": jobs,
    "gateway": gateway, "bills": bills,
}  # fmt: skip


def valkey_fill() -> Iterator[Metric]:
    """How full the servers are.

    A full server refuses writes: of carts and checkouts, or of wake-ups, which the sweep makes up for.
    """
    fill = GaugeMetricFamily(
        "valkey_memory_used_ratio", "Used memory over the limit; 0 without a limit.", labels=["server"]
    )
    reachable = GaugeMetricFamily("valkey_reachable", "1 when the server answered.", labels=["server"])
    servers = {
        "store": redis_address.parse(settings.REDIS_URL),
        "broker": broker_address.parse(settings.CELERY_BROKER_URL).redis,
    }
    for name, address in servers.items():
        if address is None:  # RabbitMQ
            continue
        try:
            with redis_address.open_client(address, socket_timeout=1, socket_connect_timeout=1) as client:
                memory = client.info("memory")
        except redis.RedisError:
            reachable.add_metric([name], 0)
            continue
        reachable.add_metric([name], 1)
        fill.add_metric([name], memory["used_memory"] / memory["maxmemory"] if memory["maxmemory"] else 0)
    yield from (fill, reachable)
