"""The way to an order: courses into the cart, a checkout priced by the worker, its first look, and the order that stands on it."""

import dataclasses
import json
from collections.abc import Iterator, Sequence

from bench.client import Plan, Result, build_request
from bench.figures import Sample, percentile
from bench.scenarios.orders import PATH as ORDERS_PATH
from bench.scenarios.orders import REQUESTS, seed_buyers
from bench.scenarios.outcome import read_outcome
from bench.size import Size
from bench.stage import Stage
from bench.world import Buyer

CONNECTIONS = 8


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Two cart POSTs, a checkout and an order for each buyer; each kind for all buyers before the next."""
    buyers = seed_buyers(stage, size.carts)
    carts = [_post(buyer, "/api/v1/cart/", {"course_id": course, "policy_id": course}) for course in (1, 2) for buyer in buyers]
    yield _measure_requests(stage, "cart POST", carts, status=200)[0]

    checkouts = [_post(buyer, "/api/v1/checkout/", {"course_list": [1, 2]}) for buyer in buyers]
    sample, started = _measure_requests(stage, "checkout POST + worker", checkouts, status=202)
    yield sample

    ids = [_data(answer)["checkout_id"] for answer in started.answers]
    looks = [build_request("GET", f"/api/v1/checkout/{pk}/", headers=[buyer.authorization]) for buyer, pk in zip(buyers, ids, strict=True)]
    sample, seen = _measure_requests(stage, "checkout GET", looks, status=200)
    unready = sum(_data(answer)["status"] != "ready" for answer in seen.answers)
    late = [f"{unready} of {len(ids)} checkouts were not ready"] if unready else []
    yield dataclasses.replace(sample, faults=[*sample.faults, *late])
    yield _measure_orders(stage, buyers, ids)


def _measure_orders(stage: Stage, buyers: Sequence[Buyer], checkout_ids: Sequence[str]) -> Sample:
    requests = [buyer.order_request(ORDERS_PATH, checkout_id=pk) for buyer, pk in zip(buyers, checkout_ids, strict=True)]
    with stage.connect() as connection, stage.client(Plan(stage.web_port, requests, CONNECTIONS)) as client:
        with stage.measured() as measured:
            result = client.run()
            stage.wait_drained(connection, REQUESTS)
            measured.client_s = result.cpu_s
        outcome = read_outcome(connection, buyers)
    return Sample(
        "orders from a checkout",
        len(buyers),
        measured.window,
        figures=outcome.figures(result, accepted_status=202),
        faults=outcome.faults(result, accepted_status=202),
    )


def _measure_requests(stage: Stage, row: str, requests: Sequence[bytes], *, status: int) -> tuple[Sample, Result]:
    with stage.client(Plan(stage.web_port, requests, CONNECTIONS, keep=True)) as client, stage.measured() as measured:
        result = client.run()
        stage.wait_for_queues()
        measured.client_s = result.cpu_s
    http_ms = [1000 * latency for latency in result.latencies_s]
    figures = {"per_s": len(requests) / result.wall_s, "http_p50_ms": percentile(http_ms, 0.5), "http_p99_ms": percentile(http_ms, 0.99)}
    return Sample(row, len(requests), measured.window, figures=figures, faults=result.not_expected(status)), result


def _post(buyer: Buyer, path: str, body: dict[str, object]) -> bytes:
    headers = [buyer.authorization, ("Content-Type", "application/json")]
    return build_request("POST", path, headers=headers, body=json.dumps(body).encode())


def _data(answer: bytes) -> dict[str, str]:
    data: dict[str, str] = json.loads(answer.partition(b"\r\n\r\n")[2])["data"]
    return data
