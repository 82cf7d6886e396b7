"""Orders through the pipeline: accepted by the web process, created by the worker; at light load, as fast as
it goes, and in a burst; orders created inside the request, to compare with; and the way to an order from the
cart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.client import Plan, Result
from bench.results import Sample, percentile
from bench.scenarios import Size
from bench.seed import REQUESTS, Buyer, answered, seed_buyers
from bench.stage import Stage

LIGHT_PER_S = 50.0
CONNECTIONS, BURST_CONNECTIONS, FEW_CONNECTIONS = 16, 64, 8
CART, CHECKOUT = "/api/v1/cart/", "/api/v1/checkout/"


def measure_synchronous(stage: Stage, size: Size) -> Iterator[Sample]:
    """8 connections as fast as they are answered. Such a shop has no worker, so ours is stopped."""
    buyers = seed_buyers(stage, size.synchronous_orders)
    requests = [buyer.order("/synchronous/orders/") for buyer in buyers]
    plan = Plan(stage.ports["baseline"], requests, FEW_CONNECTIONS)
    sample, result = stage.play("synchronous", plan, status=201, is_web_alone=True)
    yield read_outcome(stage, buyers).complete(sample, result, status=201)


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Taking in with the worker stopped; 50 orders a second, whatever becomes of the earlier ones and with
    the CPU of processes that wait; 16 connections as fast as they are answered; many buyers at once.
    """
    yield _measure_intake(stage, size.saturated_orders // 2)
    yield measure_orders(stage, "orders light", int(LIGHT_PER_S * size.light_s), rate=LIGHT_PER_S)
    yield measure_orders(stage, "orders saturated", size.saturated_orders)
    yield measure_orders(stage, "orders burst", size.burst_buyers, connections=BURST_CONNECTIONS)


def _measure_intake(stage: Stage, count: int) -> Sample:
    """HTTP → committed request."""
    buyers = seed_buyers(stage, count)
    plan = Plan(stage.ports["web"], [buyer.order() for buyer in buyers], CONNECTIONS)
    sample, result = stage.play("order intake", plan, status=202, is_web_alone=True)
    stage.wait_drained(REQUESTS)
    return replace(sample, faults=read_outcome(stage, buyers).faults(result, status=202))


def measure_orders(
    stage: Stage, row: str, count: int, *, connections: int = CONNECTIONS, rate: float | None = None
) -> Sample:
    """Orders of fresh buyers until all are created, and what was said to the broker about them."""
    buyers = seed_buyers(stage, count)
    plan = Plan(stage.ports["web"], [buyer.order() for buyer in buyers], connections, rate)
    published = stage.count_published()
    sample, result = stage.play(row, plan, status=202, drains=REQUESTS)
    messages = (stage.count_published() - published) / count
    return read_outcome(stage, buyers).complete(sample, result, status=202, messages_per_order=messages)


def measure_cart(stage: Stage, size: Size) -> Iterator[Sample]:
    """Two cart POSTs, a checkout and an order for each buyer; each kind for all buyers before the next."""
    buyers = seed_buyers(stage, size.carts)
    courses = [{"course_id": course, "policy_id": course} for course in (1, 2)]
    carts = [buyer.post(CART, course) for course in courses for buyer in buyers]
    yield _measure_requests(stage, "cart POST", carts, status=200)[0]

    checkouts = [buyer.post(CHECKOUT, {"course_list": [1, 2]}) for buyer in buyers]
    sample, started = _measure_requests(stage, "checkout POST + worker", checkouts, status=202)
    yield sample

    of_buyers = [*zip(buyers, (answered(answer)["checkout_id"] for answer in started.answers), strict=True)]
    reads = [buyer.get(f"{CHECKOUT}{checkout_id}/") for buyer, checkout_id in of_buyers]
    sample, seen = _measure_requests(stage, "checkout GET", reads, status=200)
    unready = sum(answered(answer)["status"] != "ready" for answer in seen.answers)
    late = [f"{unready} of {len(reads)} checkouts were not ready"] if unready else []
    yield replace(sample, faults=[*sample.faults, *late])

    orders = [buyer.order(checkout_id=checkout_id) for buyer, checkout_id in of_buyers]
    plan = Plan(stage.ports["web"], orders, FEW_CONNECTIONS)
    sample, result = stage.play("orders from a checkout", plan, status=202, drains=REQUESTS)
    yield read_outcome(stage, buyers).complete(sample, result, status=202)


def _measure_requests(
    stage: Stage, row: str, requests: Sequence[bytes], *, status: int
) -> tuple[Sample, Result]:
    plan = Plan(stage.ports["web"], requests, FEW_CONNECTIONS, keep=True)
    return stage.play(row, plan, status=status)


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
        pairs = zip(self.taken_at, self.created_at, strict=True)
        return [1000 * (created - taken) for taken, created in pairs]

    def complete(self, sample: Sample, result: Result, *, status: int, **more: float) -> Sample:
        """The sample with rates and latencies of the run and its faults. What was refused or failed is no part
        of a rate.
        """
        answered, started = max(result.answered_at), min(result.sent_at)
        finished = max(self.created_at, default=answered)
        figures = {
            "accepted_per_s": result.statuses.count(status) / (answered - started),
            "orders_per_s": len(self.created_at) / (finished - started),
            "created_p50_ms": percentile(self.latencies_ms or [0.0], 0.5),
            "created_p99_ms": percentile(self.latencies_ms or [0.0], 0.99),
            "drained_s": max(finished - answered, 0.0),
            "rejected": self.rejected,
            "server_errors": sum(status >= 500 for status in result.statuses),
            "lost": len(result.statuses) - len(self.created_at) - self.rejected,
        }
        series = {
            "http_ms": [1000 * latency for latency in result.latencies_s],
            "created_ms": self.latencies_ms,
            "accepted_at_s": sorted(at - started for at in result.answered_at),
            "created_at_s": sorted(at - started for at in self.created_at),
        }
        faults = self.faults(result, status=status)
        return replace(sample, figures={**sample.figures, **figures, **more}, series=series, faults=faults)

    def faults(self, result: Result, *, status: int) -> list[str]:
        """A sentence for everything that isn't as it must be: each accepted request became exactly one order,
        or a refusal that we report.
        """
        accepted, created = result.statuses.count(status), len(self.created_at)
        found = result.not_expected(status)
        if self.rejected:
            found.append(f"{self.rejected} of {accepted} accepted requests were rejected")
        if self.pending:
            found.append(f"{self.pending} of {accepted} accepted requests are still pending")
        if self.requests != accepted or created + self.rejected + self.pending != accepted:
            found.append(
                f"{accepted} were accepted, but there are {self.requests} requests and {created} orders"
            )
        return found


def read_outcome(stage: Stage, buyers: Sequence[Buyer]) -> Outcome:
    """The requests and orders of these buyers."""
    query = """
        SELECT request.status, extract(epoch FROM request.created_at)::float8,
            extract(epoch FROM pg_xact_commit_timestamp(orders.xmin))::float8
        FROM shop_orderrequest AS request LEFT JOIN shop_order AS orders ON orders.request_id = request.id
        WHERE request.account_id = ANY(%s)
    """
    rows = stage.rows(query, [buyer.account_id for buyer in buyers])
    statuses = [status for status, _, _ in rows]
    made = [(taken, created) for _, taken, created in rows if created is not None]
    return Outcome(
        requests=len(rows),
        rejected=statuses.count("rejected"),
        pending=statuses.count("pending"),
        taken_at=[taken for taken, _ in made],
        created_at=[created for _, created in made],
    )
