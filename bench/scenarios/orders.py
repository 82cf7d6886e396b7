"""Orders through the pipeline, orders created within the request, and the steps from cart to order."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
    """8 connections, as fast as possible. A synchronous shop has no worker, so ours is paused."""
    buyers = seed_buyers(stage, size.synchronous_orders)
    requests = [buyer.order("/synchronous/orders/") for buyer in buyers]
    plan = Plan(stage.ports["baseline"], requests, FEW_CONNECTIONS)
    sample, result = stage.play("synchronous", plan, status=201, is_web_alone=True)
    yield read_outcome(stage, buyers).complete(sample, result, status=201)


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Intake with the worker paused; 50 orders per second; as fast as possible; many buyers at once."""
    buyers = seed_buyers(stage, size.saturated_orders // 2)
    plan = Plan(stage.ports["web"], [buyer.order() for buyer in buyers], CONNECTIONS)
    sample, result = stage.play("order intake", plan, status=202, is_web_alone=True)
    stage.wait_drained(REQUESTS)
    yield replace(sample, faults=read_outcome(stage, buyers).faults(result, status=202))
    yield measure_orders(stage, "orders light", int(LIGHT_PER_S * size.light_s), rate=LIGHT_PER_S)
    yield measure_orders(stage, "orders saturated", size.saturated_orders)
    yield measure_orders(stage, "orders burst", size.burst_buyers, connections=BURST_CONNECTIONS)


def measure_orders(
    stage: Stage, row: str, count: int, *, connections: int = CONNECTIONS, rate: float | None = None
) -> Sample:
    """Orders by new buyers until all are created, and the messages published for them."""
    buyers = seed_buyers(stage, count)
    plan = Plan(stage.ports["web"], [buyer.order() for buyer in buyers], connections, rate)
    published = stage.count_published()
    sample, result = stage.play(row, plan, status=202, drains=REQUESTS)
    messages = (stage.count_published() - published) / count
    return read_outcome(stage, buyers).complete(sample, result, status=202, messages_per_order=messages)


def measure_cart(stage: Stage, size: Size) -> Iterator[Sample]:
    """Two cart POSTs, a checkout and an order for each buyer; each step for all buyers before the next."""
    buyers, port = seed_buyers(stage, size.carts), stage.ports["web"]
    courses = [{"course_id": course, "policy_id": course} for course in (1, 2)]
    carts = [buyer.post(CART, course) for course in courses for buyer in buyers]
    yield stage.play("cart POST", Plan(port, carts, FEW_CONNECTIONS), status=200)[0]
    checkouts = [buyer.post(CHECKOUT, {"course_list": [1, 2]}) for buyer in buyers]
    plan = Plan(port, checkouts, FEW_CONNECTIONS, keep=True)
    sample, started = stage.play("checkout POST + worker", plan, status=202)
    yield sample
    of_buyers = [*zip(buyers, (answered(answer)["checkout_id"] for answer in started.answers), strict=True)]
    reads = [buyer.get(f"{CHECKOUT}{checkout_id}/") for buyer, checkout_id in of_buyers]
    sample, seen = stage.play("checkout GET", Plan(port, reads, FEW_CONNECTIONS, keep=True), status=200)
    unready = sum(answered(answer)["status"] != "ready" for answer in seen.answers)
    late = [f"{unready} of {len(reads)} checkouts were not ready"] if unready else []
    yield replace(sample, faults=[*sample.faults, *late])
    orders = [buyer.order(checkout_id=checkout_id) for buyer, checkout_id in of_buyers]
    plan = Plan(port, orders, FEW_CONNECTIONS)
    sample, result = stage.play("orders from a checkout", plan, status=202, drains=REQUESTS)
    yield read_outcome(stage, buyers).complete(sample, result, status=202)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run's requests. `latencies_ms` are accepted → created: from the time in the request's
    row, taken before it is stored, to PostgreSQL's timestamp of the commit that made the order visible.
    """

    statuses: Mapping[str, int]
    created_at: Sequence[float]
    latencies_ms: Sequence[float]

    def complete(self, sample: Sample, result: Result, *, status: int, **more: float) -> Sample:
        """The sample with the run's rates, latencies and faults. Rates count only successful requests."""
        answered, started = max(result.answered_at), min(result.sent_at)
        finished = max(self.created_at, default=answered)
        latencies_ms = self.latencies_ms or [0.0]
        rejected = self.statuses.get("rejected", 0)
        figures = {
            "accepted_per_s": result.statuses.count(status) / (answered - started),
            "orders_per_s": len(self.created_at) / (finished - started),
            "created_p50_ms": percentile(latencies_ms, 0.5),
            "created_p99_ms": percentile(latencies_ms, 0.99),
            "drained_s": max(finished - answered, 0.0),
            "rejected": rejected,
            "server_errors": sum(status >= 500 for status in result.statuses),
            "lost": len(result.statuses) - len(self.created_at) - rejected,
        }
        series = {
            "http_ms": [1000 * latency for latency in result.latencies_s],
            "created_ms": self.latencies_ms,
            "accepted_at_s": sorted(at - started for at in result.answered_at),
            "created_at_s": sorted(at - started for at in self.created_at),
        }
        figures = {**sample.figures, **figures, **more}
        return replace(sample, figures=figures, series=series, faults=self.faults(result, status=status))

    def faults(self, result: Result, *, status: int) -> list[str]:
        """A sentence for each violated expectation: each accepted request became one order."""
        accepted, created = result.statuses.count(status), len(self.created_at)
        kept = sum(self.statuses.values())
        told = f"{accepted} were accepted, but there are {kept} requests {self.statuses} and {created} orders"
        return [*result.not_expected(status), *([] if accepted == kept == created else [told])]


def read_outcome(stage: Stage, buyers: Sequence[Buyer]) -> Outcome:
    query = """
        SELECT request.status, extract(epoch FROM request.created_at)::float8,
            extract(epoch FROM pg_xact_commit_timestamp(orders.xmin))::float8
        FROM shop_orderrequest AS request LEFT JOIN shop_order AS orders ON orders.request_id = request.id
        WHERE request.account_id = ANY(%s)
    """
    rows = stage.rows(query, [buyer.account_id for buyer in buyers])
    created_at = [created for _, _, created in rows if created is not None]
    latencies_ms = [1000 * (created - taken) for _, taken, created in rows if created is not None]
    return Outcome(dict(Counter(status for status, _, _ in rows)), created_at, latencies_ms)
