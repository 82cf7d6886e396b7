"""Whether anything gets dearer as the shop grows older: the same work with a short and a long history."""

import subprocess
import sys
from collections.abc import Iterator

from bench.client import build_request
from bench.figures import Sample
from bench.programs import INSIDE
from bench.scenarios import notify, orders, poll
from bench.size import Size
from bench.stage import Stage
from bench.world import Buyer

POLLED = 200


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """One order, notification, poll, page of the order list and tick of the sweep. Rows are named alike for every history."""
    yield orders.measure_orders(stage, "growth order", size.growth_orders)
    yield notify.measure_whole(stage, "growth notification", size.growth_orders)
    open_orders = notify.seed_open_orders(stage, POLLED)
    known = poll.first_look(stage, open_orders)
    yield poll.measure_polls(stage, "growth poll 304", known, size.poll_s, status=304)
    yield poll.measure_polls(stage, "growth poll 200", [poll.poll_request(order) for order in open_orders], size.poll_s, status=200)
    yield poll.measure_polls(stage, "growth order list", _lists(stage), size.poll_s, status=200)
    yield _measure_sweep(stage, size.sweeps)


def _lists(stage: Stage) -> list[bytes]:
    """The order lists of buyers with a past, from all over the table."""
    with stage.connect() as connection:
        rows = connection.execute(
            "SELECT account_id FROM shop_order WHERE status = 'paid' AND id % greatest((SELECT max(id) FROM shop_order) / 400, 1) = 0 LIMIT 400"
        ).fetchall()
    return [build_request("GET", orders.PATH, headers=[Buyer(account_id, 0, 0).authorization]) for (account_id,) in rows]


def _measure_sweep(stage: Stage, times: int) -> Sample:
    command = [sys.executable, str(INSIDE / "sweep.py"), str(times)]
    process = subprocess.Popen(command, cwd=stage.project, env=dict(stage.env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdout.readline()
        with stage.measured(also={"worker": [process.pid]}) as measured:
            process.stdin.write("go\n")
            process.stdin.flush()
            process.stdout.readline()
    finally:
        process.kill()
        process.communicate()
    return Sample("growth sweep tick", times, measured.window)
