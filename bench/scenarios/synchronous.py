"""The synchronous baseline: the same domain code, with the order created inside the request."""

from collections.abc import Iterator

from bench.client import Plan
from bench.figures import Sample
from bench.scenarios.orders import seed_buyers
from bench.scenarios.outcome import read_outcome
from bench.scenarios.statements import Counted, count_statements
from bench.size import Size
from bench.stage import Stage

PATH = "/synchronous/orders/"
CONNECTIONS = 8


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """8 connections as fast as they are answered. Such a shop has no worker, so ours is held still."""
    buyers = seed_buyers(stage, size.synchronous_orders)
    plan = Plan(stage.ports.baseline, [buyer.order_request(PATH) for buyer in buyers], CONNECTIONS)
    with stage.connect() as connection, stage.client(plan) as client:
        with stage.frozen("worker", "beat"), stage.measured() as measured:
            result = client.run()
            measured.client_s = result.cpu_s
        outcome = read_outcome(connection, buyers)
    yield Sample(
        "synchronous", len(buyers), measured.window, figures=outcome.figures(result, accepted_status=201),
        series={"created_ms": [1000 * latency for latency in result.latencies_s]}, faults=outcome.faults(result, accepted_status=201),
    )  # fmt: skip


def count_per_order(stage: Stage, size: Size) -> list[Counted]:
    """SQL statements per order."""
    buyers = seed_buyers(stage, size.counted // 2)
    with stage.statements_logged() as logged:
        stage.send(Plan(stage.ports.baseline, [buyer.order_request(PATH) for buyer in buyers], CONNECTIONS))
    return [count_statements("synchronous", logged, units=len(buyers))]
