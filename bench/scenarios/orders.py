"""Orders through the pipeline: accepted by the web process, created by the worker; at light load, as fast as
it goes, and in a burst.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.client import Plan, Result
from bench.meter import Window
from bench.results import Sample, http_figures, percentile
from bench.scenarios.open_orders import PATH, REQUESTS, seed_buyers
from bench.seed import Buyer
from bench.size import Size
from bench.stage import Stage

LIGHT_PER_S = 50.0
CONNECTIONS, BURST_CONNECTIONS = 16, 64


def measure_intake(stage: Stage, size: Size) -> Iterator[Sample]:
    """HTTP → committed request, with the worker stopped meanwhile."""
    buyers = seed_buyers(stage, size.saturated_orders // 2)
    with stage.connect() as connection, stage.client(_plan(stage, buyers)) as client:
        with stage.frozen("worker", "beat"), stage.measured() as measured:
            result = client.run()
        stage.wait_drained(connection, REQUESTS)
        faults = read_outcome(connection, buyers).faults(result, accepted_status=202)
    yield Sample("order intake", len(buyers), measured.window, figures=http_figures(result), faults=faults)


def measure_light(stage: Stage, size: Size) -> Iterator[Sample]:
    """50 orders a second, whatever becomes of the earlier ones.

    The CPU of processes that wait is in the figure.
    """
    yield measure_orders(stage, "orders light", int(LIGHT_PER_S * size.light_s), rate=LIGHT_PER_S)


def measure_saturated(stage: Stage, size: Size) -> Iterator[Sample]:
    """16 connections as fast as they are answered, until the backlog is empty."""
    yield measure_orders(stage, "orders saturated", size.saturated_orders)


def measure_burst(stage: Stage, size: Size) -> Iterator[Sample]:
    """Many buyers, one order each, all at once."""
    yield measure_orders(stage, "orders burst", size.burst_buyers, connections=BURST_CONNECTIONS)


def measure_orders(
    stage: Stage, row: str, count: int, *, connections: int = CONNECTIONS, rate: float | None = None
) -> Sample:
    """Orders of fresh buyers until all are created, and what was said to the broker about them."""
    buyers = seed_buyers(stage, count)
    with stage.connect() as connection, stage.client(_plan(stage, buyers, connections, rate)) as client:
        published = stage.count_published()
        with stage.measured() as measured:
            result = client.run()
            stage.wait_drained(connection, REQUESTS)
        published = stage.count_published() - published
        outcome = read_outcome(connection, buyers)
    return outcome.sample(
        row, measured.window, result, accepted_status=202, messages_per_order=published / count
    )


def count_statements(stage: Stage, size: Size) -> dict[str, float]:
    """SQL statements per order at saturation: those of the web process and of the worker."""
    buyers = seed_buyers(stage, size.counted)
    with stage.connect() as connection, stage.statements_counted() as counted:
        stage.send([buyer.order_request(PATH) for buyer in buyers], connections=CONNECTIONS)
        stage.wait_drained(connection, REQUESTS)
    return {"orders saturated": counted[0] / size.counted}


def _plan(
    stage: Stage, buyers: Sequence[Buyer], connections: int = CONNECTIONS, rate: float | None = None
) -> Plan:
    return Plan(stage.web_port, [buyer.order_request(PATH) for buyer in buyers], connections, rate)


@dataclass(frozen=True)
class Outcome:
    """What became of a run's requests.

    `taken_at` and `created_at` are wall-clock seconds of the orders that were created, in pairs.
    """

    requests: int
    rejected: int
    pending: int
    taken_at: Sequence[float]
    created_at: Sequence[float]

    @property
    def latencies_ms(self) -> list[float]:
        """Accepted → created: from the time that the request's row carries (taken before it is stored) to the
        commit that made its order visible, by PostgreSQL's own record of commit times. So the rest of the
        intake is in it, and the task's own clock is not.
        """
        return [
            1000 * (created - taken) for taken, created in zip(self.taken_at, self.created_at, strict=True)
        ]

    def sample(
        self, row: str, window: Window, result: Result, *, accepted_status: int, **more: float
    ) -> Sample:
        """Rates and latencies of the run, the HTTP part from the client's result.

        What was refused or failed is no part of a rate.
        """
        answered, started = max(result.answered_at), min(result.sent_at)
        finished = max(self.created_at, default=answered)
        figures = {
            "accepted_per_s": result.count(accepted_status) / (answered - started),
            "orders_per_s": len(self.created_at) / (finished - started),
            "created_p50_ms": percentile(self.latencies_ms or [0.0], 0.5),
            "created_p99_ms": percentile(self.latencies_ms or [0.0], 0.99),
            "drained_s": max(finished - answered, 0.0),
            "rejected": self.rejected,
            "server_errors": sum(status >= 500 or status == 0 for status in result.statuses),
            "lost": len(result.statuses) - len(self.created_at) - self.rejected,
        }
        series = {
            "created_ms": self.latencies_ms,
            "accepted_at_s": sorted(at - started for at in result.answered_at),
            "created_at_s": sorted(at - started for at in self.created_at),
        }
        faults = self.faults(result, accepted_status=accepted_status)
        return Sample(
            row, len(result.statuses), window, http_figures(result) | figures | more, series, faults
        )

    def faults(self, result: Result, *, accepted_status: int) -> list[str]:
        """A sentence for everything that isn't as it must be: each accepted request became exactly one order,
        or a refusal that we report.
        """
        accepted = result.count(accepted_status)
        found = result.not_expected(accepted_status)
        if self.rejected:
            found.append(f"{self.rejected} of {accepted} accepted requests were rejected")
        if self.pending:
            found.append(f"{self.pending} of {accepted} accepted requests are still pending")
        if self.requests != accepted or len(self.created_at) + self.rejected + self.pending != accepted:
            found.append(
                f"{accepted} were accepted, but there are {self.requests} requests and "
                f"{len(self.created_at)} orders"
            )
        return found


def read_outcome(connection: psycopg.Connection[Any], buyers: Sequence[Buyer]) -> Outcome:
    """The requests and orders of these buyers."""
    rows = connection.execute(
        """
        SELECT request.status, extract(epoch FROM request.created_at)::float8, extract(epoch
            FROM pg_xact_commit_timestamp(orders.xmin))::float8
        FROM shop_orderrequest AS request LEFT JOIN shop_order AS orders ON orders.request_id = request.id
        WHERE request.account_id = ANY(%s)
        """,
        [[buyer.account_id for buyer in buyers]],
    ).fetchall()
    made = [(taken, created) for _, taken, created in rows if created is not None]
    return Outcome(
        requests=len(rows),
        rejected=sum(status == "rejected" for status, _, _ in rows),
        pending=sum(status == "pending" for status, _, _ in rows),
        taken_at=[taken for taken, _ in made],
        created_at=[created for _, created in made],
    )
