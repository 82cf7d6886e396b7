"""The synchronous baseline: the same domain code, with the order created inside the request."""

import dataclasses
from collections.abc import Iterator

from bench.client import Plan
from bench.results import Sample
from bench.scenarios.open_orders import seed_buyers
from bench.scenarios.orders import read_outcome
from bench.size import Size
from bench.stage import Stage

PATH, CONNECTIONS = "/synchronous/orders/", 8


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """8 connections as fast as they are answered. Such a shop has no worker, so ours is stopped."""
    buyers = seed_buyers(stage, size.synchronous_orders)
    plan = Plan(
        stage.described.ports["baseline"], [buyer.order_request(PATH) for buyer in buyers], CONNECTIONS
    )
    with stage.connect() as connection, stage.client(plan) as client:
        with stage.frozen("worker", "beat"), stage.measured() as measured:
            result = client.run()
        sample = read_outcome(connection, buyers).sample(
            "synchronous", measured.window, result, accepted_status=201
        )
    yield dataclasses.replace(
        sample, series={"created_ms": [1000 * latency for latency in result.latencies_s]}
    )


def count_statements(stage: Stage, size: Size) -> dict[str, float]:
    """SQL statements per order."""
    buyers = seed_buyers(stage, size.counted // 2)
    plan = Plan(
        stage.described.ports["baseline"], [buyer.order_request(PATH) for buyer in buyers], CONNECTIONS
    )
    with stage.client(plan) as client, stage.statements_counted() as counted:
        client.run()
    return {"synchronous": counted[0] / len(buyers)}
