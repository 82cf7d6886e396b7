"""Orders through the pipeline: accepted by the web process, created by the worker; at light load, as fast as it goes, and in a burst."""

from collections.abc import Iterator, Sequence

from bench.client import Plan
from bench.figures import Sample, percentile
from bench.scenarios.outcome import read_outcome
from bench.scenarios.statements import Counted, count_statements
from bench.size import Size
from bench.stage import Stage
from bench.world import Buyer, add_buyers

PATH = "/api/v1/orders/"
REQUESTS = "shop_orderrequest"
LIGHT_PER_S = 50.0
LIGHT_CONNECTIONS = 16
SATURATING_CONNECTIONS = 16
BURST_CONNECTIONS = 64


def measure_light(stage: Stage, size: Size) -> Iterator[Sample]:
    """50 orders a second, whatever becomes of the earlier ones. The CPU of processes that wait is in the figure."""
    yield _measure(stage, "orders light", int(LIGHT_PER_S * size.light_s), connections=LIGHT_CONNECTIONS, rate=LIGHT_PER_S)


def measure_saturated(stage: Stage, size: Size) -> Iterator[Sample]:
    """16 connections as fast as they are answered, until the backlog is empty."""
    yield _measure(stage, "orders saturated", size.saturated_orders, connections=SATURATING_CONNECTIONS)


def measure_burst(stage: Stage, size: Size) -> Iterator[Sample]:
    """Many buyers, one order each, all at once."""
    yield _measure(stage, "orders burst", size.burst_buyers, connections=BURST_CONNECTIONS)


def measure_intake(stage: Stage, size: Size) -> Iterator[Sample]:
    """HTTP → committed request, with the worker held still meanwhile."""
    buyers = seed_buyers(stage, size.saturated_orders // 2)
    with stage.connect() as connection, stage.client(_plan(stage, buyers, connections=SATURATING_CONNECTIONS)) as client:
        with stage.frozen("worker", "beat"), stage.measured() as measured:
            result = client.run()
            measured.client_s = result.cpu_s
        stage.wait_drained(connection, REQUESTS)
        outcome = read_outcome(connection, buyers)
    http_ms = [1000 * latency for latency in result.latencies_s]
    yield Sample(
        "order intake",
        len(buyers),
        measured.window,
        figures={"per_s": len(buyers) / result.wall_s, "http_p50_ms": percentile(http_ms, 0.5), "http_p99_ms": percentile(http_ms, 0.99)},
        faults=outcome.faults(result, accepted_status=202),
    )


def count_per_order(stage: Stage, size: Size) -> list[Counted]:
    """SQL statements per order at saturation: those of the web process and of the worker, BEGIN and COMMIT among them."""
    buyers = seed_buyers(stage, size.counted)
    with stage.connect() as connection, stage.statements_logged() as logged:
        stage.send(_plan(stage, buyers, connections=SATURATING_CONNECTIONS))
        stage.wait_drained(connection, REQUESTS)
    return [count_statements("orders saturated", logged, units=size.counted)]


def seed_buyers(stage: Stage, count: int) -> list[Buyer]:
    """Fresh buyers, and statistics that know of them."""
    with stage.connect() as connection:
        buyers = add_buyers(connection, count)
        stage.tidy_up(connection)
    return buyers


def measure_orders(stage: Stage, row: str, count: int) -> Sample:
    """A saturated run under another name."""
    return _measure(stage, row, count, connections=SATURATING_CONNECTIONS)


def _plan(stage: Stage, buyers: Sequence[Buyer], *, connections: int, rate: float | None = None) -> Plan:
    return Plan(stage.web_port, [buyer.order_request(PATH) for buyer in buyers], connections, rate)


def _measure(stage: Stage, row: str, count: int, *, connections: int, rate: float | None = None) -> Sample:
    buyers = seed_buyers(stage, count)
    with stage.connect() as connection, stage.client(_plan(stage, buyers, connections=connections, rate=rate)) as client:
        published = stage.published()
        with stage.measured() as measured:
            result = client.run()
            stage.wait_drained(connection, REQUESTS)
            measured.client_s = result.cpu_s
        published = stage.published() - published
        outcome = read_outcome(connection, buyers)
    started = min(result.sent_at)
    return Sample(
        row,
        count,
        measured.window,
        figures={**outcome.figures(result, accepted_status=202), "messages_per_order": published / count},
        series={
            "created_ms": outcome.latencies_ms,
            "accepted_at_s": sorted(at - started for at in result.answered_at),
            "created_at_s": sorted(at - started for at in outcome.created_at),
        },
        faults=outcome.faults(result, accepted_status=202),
    )
