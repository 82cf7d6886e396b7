"""A buyer's page asks what became of the order: with the version that it knows, and without."""

import re
from collections.abc import Iterator, Sequence

from bench.client import Plan, build_request
from bench.results import Sample, http_figures
from bench.scenarios.open_orders import PATH, OpenOrder, seed_open_orders
from bench.size import Size
from bench.stage import Stage

CONNECTIONS, ORDERS = 8, 200
_ETAG = re.compile(rb"\r\netag: ([^\r]*)\r\n", re.IGNORECASE)


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Polls that bring no news (304), and polls that bring the whole order (200); and a request that asks for
    nothing, as the yardstick.
    """
    yield measure_polls(stage, "bare request", [build_request("GET", "/healthz")], size.poll_s, status=200)
    orders = seed_open_orders(stage, ORDERS)
    yield measure_polls(stage, "poll 304", known_polls(stage, orders), size.poll_s, status=304)
    yield measure_polls(stage, "poll 200", [poll_request(order) for order in orders], size.poll_s, status=200)


def measure_polls(
    stage: Stage, row: str, requests: Sequence[bytes], seconds: float, *, status: int
) -> Sample:
    """The requests, over and over.

    The worker is stopped: what it uses while it waits has nothing to do with polls.
    """
    plan = Plan(stage.web_port, requests, CONNECTIONS, seconds=seconds)
    with stage.client(plan) as client, stage.frozen("worker", "beat"), stage.measured() as measured:
        result = client.run()
    return Sample(
        row, len(result.statuses), measured.window, http_figures(result), faults=result.not_expected(status)
    )


def count_statements(stage: Stage, size: Size) -> dict[str, float]:
    """SQL statements of each kind of poll, that for the token among them."""
    orders = seed_open_orders(stage, ORDERS)
    found = {}
    for row, requests in (
        ("poll 304", known_polls(stage, orders)),
        ("poll 200", [poll_request(order) for order in orders]),
    ):
        with stage.statements_counted() as counted:
            stage.send(requests)
        found[row] = counted[0] / len(requests)
    return found


def poll_request(order: OpenOrder, *, etag: str | None = None) -> bytes:
    """GET of the order's status."""
    known = [("If-None-Match", etag)] if etag else []
    return build_request("GET", f"{PATH}{order.order_number}/", headers=[order.buyer.authorization, *known])


def known_polls(stage: Stage, orders: Sequence[OpenOrder]) -> list[bytes]:
    """Reads each order once, and returns the requests that ask whether it has changed since."""
    seen = stage.send([poll_request(order) for order in orders])
    tags = [_ETAG.search(answer) for answer in seen.answers]
    return [
        poll_request(order, etag=tag[1].decode())
        for order, tag in zip(orders, tags, strict=True)
        if tag is not None
    ]
