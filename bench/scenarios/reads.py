"""Requests that buyers repeat, and whether any cost grows with the shop's history."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence

from bench.client import Plan, build_request
from bench.results import Sample
from bench.scenarios import Size, notify, orders
from bench.seed import ORDERS, Buyer, seed_open_orders, seed_tokens
from bench.stage import INSIDE, Stage

CONNECTIONS, POLLED, READERS = 8, 200, 400
_ETAG = re.compile(rb"\r\netag: ([^\r]*)\r\n", re.IGNORECASE)


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Polls, and a minimal request for comparison."""
    yield measure_reads(stage, "bare request", [build_request("GET", "/healthz")], size.poll_s)
    yield from measure_polls(stage, "poll", size.poll_s)


def measure_polls(stage: Stage, row: str, seconds: float) -> Iterator[Sample]:
    """Polls without a change (304), and polls that return the whole order (200)."""
    opened = seed_open_orders(stage, POLLED)
    whole = [order.buyer.get(f"{ORDERS}{order.order_number}/") for order in opened]
    tags = [tag[1].decode() for answer in stage.send(whole).answers if (tag := _ETAG.search(answer))]
    known = [
        order.buyer.get(f"{ORDERS}{order.order_number}/", ("If-None-Match", tag))
        for order, tag in zip(opened, tags, strict=True)
    ]
    yield measure_reads(stage, f"{row} 304", known, seconds, status=304)
    yield measure_reads(stage, f"{row} 200", whole, seconds)


def measure_reads(
    stage: Stage, row: str, requests: Sequence[bytes], seconds: float, *, status: int = 200
) -> Sample:
    """Repeats the requests with the worker paused, since its CPU time is no part of reading."""
    plan = Plan(stage.ports["web"], requests, CONNECTIONS, seconds=seconds)
    return stage.play(row, plan, status=status, is_web_alone=True)[0]


def measure_growth(stage: Stage, size: Size) -> Iterator[Sample]:
    """An order, a notification, a poll, a page of the order list, and a run of the sweep."""
    yield orders.measure_orders(stage, "growth order", size.growth_orders)
    yield notify.measure_whole(stage, "growth notification", size.growth_orders)
    yield from measure_polls(stage, "growth poll", size.poll_s)
    yield measure_reads(stage, "growth order list", _lists(stage), size.poll_s)
    yield _measure_sweep(stage, size.sweeps)


def _lists(stage: Stage) -> list[bytes]:
    """Requests for the order lists of buyers spread over the history."""
    query = """
        SELECT DISTINCT account_id FROM shop_order
        WHERE status = 'paid' AND id %% greatest((SELECT max(id) FROM shop_order) / %s, 1) = 0
    """
    accounts = [account_id for (account_id,) in stage.rows(query, READERS)]
    stage.connection.execute("DELETE FROM knox_authtoken WHERE user_id = ANY(%s)", [accounts])
    seed_tokens(stage, f"unnest(ARRAY{accounts}) AS n")
    return [Buyer(account_id).get(ORDERS) for account_id in accounts]


def _measure_sweep(stage: Stage, times: int) -> Sample:
    """Runs the sweep in a separate process, which counts as a worker; it warms up with one run."""
    command = [sys.executable, str(INSIDE / "sweep.py")]
    with subprocess.Popen(
        command, cwd=stage.project, env=dict(stage.env), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for count in (1, times):
            with stage.measured(worker_pids=[process.pid]) as meter:
                process.stdin.write(b"%d\n" % count)
                process.stdin.flush()
                process.stdout.readline()
    return Sample("growth sweep tick", times, meter.window)
