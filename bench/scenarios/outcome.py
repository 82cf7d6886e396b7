"""What became of a run's order requests, read from the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from bench.client import Result
from bench.figures import percentile
from bench.world import Buyer


@dataclass(frozen=True)
class Outcome:
    """Of the requests of a run's buyers. `taken_at` and `created_at` are wall-clock seconds of the orders that were created, in pairs."""

    requests: int
    rejected: int
    pending: int
    taken_at: Sequence[float]
    created_at: Sequence[float]

    @property
    def latencies_ms(self) -> list[float]:
        """Accepted → created: from the time that the request's row carries (taken before it is stored) to the commit that made its order
        visible, by PostgreSQL's own record of commit times. So the rest of the intake is in it, and the task's own clock is not."""
        return [1000 * (created - taken) for taken, created in zip(self.taken_at, self.created_at, strict=True)]

    def figures(self, result: Result, *, accepted_status: int) -> dict[str, float]:
        """Rates and latencies of the run, the HTTP part from the client's result. What was refused or failed is no part of a rate."""
        answered = max(result.answered_at)
        started = min(result.sent_at)
        http_ms = [1000 * latency for latency in result.latencies_s]
        return {
            "accepted_per_s": result.count(accepted_status) / (answered - started),
            "orders_per_s": len(self.created_at) / (max(self.created_at, default=answered) - started),
            "http_p50_ms": percentile(http_ms, 0.5),
            "http_p99_ms": percentile(http_ms, 0.99),
            "created_p50_ms": percentile(self.latencies_ms or [0.0], 0.5),
            "created_p99_ms": percentile(self.latencies_ms or [0.0], 0.99),
            "drained_s": max(max(self.created_at, default=answered) - answered, 0.0),
            "rejected": self.rejected,
            "server_errors": sum(status >= 500 or status == 0 for status in result.statuses),
            "lost": len(result.statuses) - len(self.created_at) - self.rejected,
        }

    def faults(self, result: Result, *, accepted_status: int) -> list[str]:
        """A sentence for everything that isn't as it must be: each accepted request became exactly one order, or a refusal that we report."""
        accepted = result.count(accepted_status)
        found = result.not_expected(accepted_status)
        if self.rejected:
            found.append(f"{self.rejected} of {accepted} accepted requests were rejected")
        if self.pending:
            found.append(f"{self.pending} of {accepted} accepted requests are still pending")
        if self.requests != accepted or len(self.created_at) + self.rejected + self.pending != accepted:
            found.append(f"{accepted} were accepted, but there are {self.requests} requests and {len(self.created_at)} orders")
        return found


def read_outcome(connection: psycopg.Connection[Any], buyers: Sequence[Buyer]) -> Outcome:
    """The requests and orders of these buyers."""
    rows = connection.execute(
        """
        SELECT request.status, extract(epoch FROM request.created_at)::float8, extract(epoch FROM pg_xact_commit_timestamp(orders.xmin))::float8
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
