"""A buyer's page asks what became of the order: with the version that it knows, and without."""

import re
from collections.abc import Iterator, Sequence

from bench.client import Plan, Result, build_request
from bench.figures import Sample, percentile
from bench.past import PlacedOrder
from bench.scenarios.notify import seed_open_orders
from bench.scenarios.statements import Counted, count_statements
from bench.size import Size
from bench.stage import Stage

CONNECTIONS = 8
ORDERS = 200
_ETAG = re.compile(rb"\r\netag: ([^\r]*)\r\n", re.IGNORECASE)


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Polls that bring no news (304), and polls that bring the whole order (200); and a request that asks for nothing, as the yardstick."""
    yield measure_polls(stage, "bare request", [build_request("GET", "/healthz")], size.poll_s, status=200)
    orders = seed_open_orders(stage, ORDERS)
    known = first_look(stage, orders)
    yield measure_polls(stage, "poll 304", known, size.poll_s, status=304)
    yield measure_polls(stage, "poll 200", [poll_request(order) for order in orders], size.poll_s, status=200)


def measure_polls(stage: Stage, row: str, requests: Sequence[bytes], seconds: float, *, status: int) -> Sample:
    """The requests, over and over. The worker is held still: what it uses while it waits has nothing to do with polls."""
    with (
        stage.client(Plan(stage.web_port, requests, CONNECTIONS, seconds=seconds)) as client,
        stage.frozen("worker", "beat"),
        stage.measured() as measured,
    ):
        result = client.run()
        measured.client_s = result.cpu_s
    count = len(result.statuses)
    http_ms = [1000 * latency for latency in result.latencies_s]
    figures = {"per_s": count / result.wall_s, "http_p50_ms": percentile(http_ms, 0.5), "http_p99_ms": percentile(http_ms, 0.99)}
    return Sample(row, count, measured.window, figures=figures, faults=result.not_expected(status))


def count_per_poll(stage: Stage, size: Size) -> list[Counted]:
    """SQL statements of each kind of poll, that for the token among them."""
    orders = seed_open_orders(stage, ORDERS)
    counted = []
    for row, requests in (("poll 304", first_look(stage, orders)), ("poll 200", [poll_request(order) for order in orders])):
        with stage.statements_logged() as logged:
            stage.send(Plan(stage.web_port, requests, CONNECTIONS))
        counted.append(count_statements(row, logged, units=len(requests)))
    return counted


def poll_request(order: PlacedOrder, *, etag: str | None = None) -> bytes:
    """GET of the order's status."""
    known = [("If-None-Match", etag)] if etag else []
    return build_request("GET", f"/api/v1/orders/{order.order_number}/", headers=[order.buyer.authorization, *known])


def first_look(stage: Stage, orders: Sequence[PlacedOrder]) -> list[bytes]:
    """Looks at each order once, and returns the requests that ask whether it has changed since."""
    seen: Result = stage.send(Plan(stage.web_port, [poll_request(order) for order in orders], CONNECTIONS, keep=True))
    tags = [_ETAG.search(answer) for answer in seen.answers]
    return [poll_request(order, etag=tag[1].decode()) for order, tag in zip(orders, tags, strict=True) if tag is not None]
