"""The way to an order: courses into the cart, a checkout priced by the worker, its first read, and the order
that stands on it.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from bench.client import Plan, Result, build_request
from bench.results import Sample, http_figures
from bench.scenarios.open_orders import PATH, REQUESTS, answered, seed_buyers
from bench.scenarios.orders import read_outcome
from bench.size import Size
from bench.stage import Stage

CONNECTIONS = 8


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Two cart POSTs, a checkout and an order for each buyer; each kind for all buyers before the next."""
    buyers = seed_buyers(stage, size.carts)
    carts = [
        buyer.post("/api/v1/cart/", {"course_id": course, "policy_id": course})
        for course in (1, 2)
        for buyer in buyers
    ]
    yield _measure_requests(stage, "cart POST", carts, status=200)[0]

    checkouts = [buyer.post("/api/v1/checkout/", {"course_list": [1, 2]}) for buyer in buyers]
    sample, started = _measure_requests(stage, "checkout POST + worker", checkouts, status=202)
    yield sample

    ids = [answered(answer)["checkout_id"] for answer in started.answers]
    reads = [
        build_request("GET", f"/api/v1/checkout/{pk}/", headers=[buyer.authorization])
        for buyer, pk in zip(buyers, ids, strict=True)
    ]
    sample, seen = _measure_requests(stage, "checkout GET", reads, status=200)
    unready = sum(answered(answer)["status"] != "ready" for answer in seen.answers)
    late = [f"{unready} of {len(ids)} checkouts were not ready"] if unready else []
    yield dataclasses.replace(sample, faults=[*sample.faults, *late])

    orders = [buyer.order_request(PATH, checkout_id=pk) for buyer, pk in zip(buyers, ids, strict=True)]
    with stage.connect() as connection, stage.client(Plan(stage.web_port, orders, CONNECTIONS)) as client:
        with stage.measured() as measured:
            result = client.run()
            stage.wait_drained(connection, REQUESTS)
        outcome = read_outcome(connection, buyers)
    yield outcome.sample("orders from a checkout", measured.window, result, accepted_status=202)


def _measure_requests(
    stage: Stage, row: str, requests: Sequence[bytes], *, status: int
) -> tuple[Sample, Result]:
    with (
        stage.client(Plan(stage.web_port, requests, CONNECTIONS, keep=True)) as client,
        stage.measured() as measured,
    ):
        result = client.run()
        stage.wait_for_queues()
    return Sample(
        row, len(requests), measured.window, http_figures(result), faults=result.not_expected(status)
    ), result
