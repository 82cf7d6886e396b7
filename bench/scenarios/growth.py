"""Whether anything gets dearer as the shop grows older: the same work with a short and a long history."""

import subprocess
import sys
from collections.abc import Iterator

from bench.client import build_request
from bench.programs import INSIDE
from bench.results import Sample
from bench.scenarios import notify, orders, poll
from bench.scenarios.open_orders import PATH, seed_open_orders
from bench.seed import Buyer, add_tokens
from bench.size import Size
from bench.stage import Stage

READERS = 400


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """One order, notification, poll, page of the order list and tick of the sweep.

    Rows are named alike for every history.
    """
    yield orders.measure_orders(stage, "growth order", size.growth_orders)
    yield notify.measure_whole(stage, "growth notification", size.growth_orders)
    opened = seed_open_orders(stage, poll.ORDERS)
    yield poll.measure_polls(
        stage, "growth poll 304", poll.known_polls(stage, opened), size.poll_s, status=304
    )
    yield poll.measure_polls(
        stage, "growth poll 200", [poll.poll_request(order) for order in opened], size.poll_s, status=200
    )
    yield poll.measure_polls(stage, "growth order list", _lists(stage), size.poll_s, status=200)
    yield _measure_sweep(stage, size.sweeps)


def _lists(stage: Stage) -> list[bytes]:
    """The order lists of buyers from all over the history."""
    with stage.connect() as connection:
        accounts = connection.execute(
            """
            SELECT DISTINCT account_id FROM shop_order
            WHERE status = 'paid' AND id %% greatest((SELECT max(id) FROM shop_order) / %s, 1) = 0
            """,
            [READERS],
        ).fetchall()
        ids = ", ".join(str(account_id) for (account_id,) in accounts)
        add_tokens(
            connection,
            f"shop_account AS a (n) WHERE n IN ({ids}) AND NOT EXISTS (SELECT 1 FROM knox_authtoken WHERE "
            f"user_id = n)",
        )
    return [
        build_request("GET", PATH, headers=[Buyer(account_id).authorization]) for (account_id,) in accounts
    ]


def _measure_sweep(stage: Stage, times: int) -> Sample:
    command = [sys.executable, str(INSIDE / "sweep.py"), str(times)]
    with subprocess.Popen(
        command,
        cwd=stage.project,
        env=dict(stage.env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        with stage.measured(worker_pids=[process.pid]) as measured:
            process.stdin.write("go\n")
            process.stdin.flush()
            process.stdout.readline()
        process.kill()
    return Sample("growth sweep tick", times, measured.window)
