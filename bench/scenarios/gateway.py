"""What a slow Alipay costs: how many expiring orders are asked about and closed, and how long others wait
meanwhile.
"""

import threading
import time
from collections.abc import Iterator, Sequence

import httpx

from bench.client import Plan, Result
from bench.results import Sample, percentile
from bench.scenarios.notify import INBOX, paid_at, plan_notifications
from bench.scenarios.open_orders import PATH, REQUESTS, OpenOrder, numbers_of, seed_buyers, seed_open_orders
from bench.scenarios.orders import read_outcome
from bench.size import Size
from bench.stage import Stage

# An answer of Alipay's takes so long; 60 s is longer than the shop waits.
LATENCIES_S = (0.0, 0.05, 0.2, 1.0, 60.0)
BACKLOG, RATE = 2_000, 5.0


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """A backlog of expiring orders, while others order and pay at a steady rate: the simulator answers later
    and later.
    """
    for latency_s in LATENCIES_S:
        expiring = seed_open_orders(stage, BACKLOG)
        paying = seed_open_orders(stage, int(size.gateway_s * RATE))
        programs = ["simulator", *({"gateway"} & {*stage.children})]
        stage.start(*programs)
        _answer_after(stage, latency_s)
        yield _measure_one(stage, f"gateway {latency_s:g} s", expiring, paying)
        stage.stop(*programs)
        with stage.connect() as connection:
            for table in ("shop_order", "payments_payment"):
                connection.execute(
                    f"UPDATE {table} SET available_at = now() + interval '10 years' WHERE available_at IS "
                    f"NOT NULL"
                )


def _answer_after(stage: Stage, latency_s: float) -> None:
    address = stage.env["ALIPAY_GATEWAY_URL"].removesuffix("/gateway.do")
    fault = {"kind": "slow", "params": {"seconds": latency_s}, "times": None}
    with httpx.Client(base_url=f"{address}/control", trust_env=False, timeout=30) as control:
        control.delete("faults").raise_for_status()
        if latency_s:
            control.post("faults", json=fault).raise_for_status()


def _measure_one(
    stage: Stage, row: str, expiring: Sequence[OpenOrder], paying: Sequence[OpenOrder]
) -> Sample:
    buyers = seed_buyers(stage, len(paying))
    ordering = Plan(stage.web_port, [buyer.order_request(PATH) for buyer in buyers], 16, RATE)
    with (
        stage.connect() as connection,
        stage.client(ordering) as orderer,
        stage.client(plan_notifications(stage, paying, rate=RATE), "payer") as payer,
        stage.measured() as measured,
    ):
        connection.execute(
            """
            UPDATE shop_order
                SET expires_at = now() - interval '2 minutes', closes_at = now(), available_at = now()
            WHERE order_number = ANY(%s)
            """,
            [numbers_of(expiring)],
        )
        started, told = time.time(), list[Result]()
        thread = threading.Thread(target=lambda: told.append(payer.run()))
        thread.start()
        ordered = orderer.run()
        thread.join()
        took_s = time.time() - started
        query = "SELECT count(*) FROM shop_order WHERE order_number = ANY(%s) AND status = 'expired'"
        ((closed,),) = connection.execute(query, [numbers_of(expiring)]).fetchall()
        # What the backlog held up is waited for; it counts.
        stage.wait_drained(connection, REQUESTS)
        stage.wait_drained(connection, INBOX)
        paid, outcome = paid_at(connection, paying), read_outcome(connection, buyers)
    paid_ms = [
        1000 * (paid[order.order_number] - at) for order, at in zip(paying, told[0].sent_at, strict=True)
    ]
    figures = {
        "closed_per_s": closed / took_s,
        "created_p50_ms": percentile(outcome.latencies_ms, 0.5),
        "created_p99_ms": percentile(outcome.latencies_ms, 0.99),
        "paid_p95_ms": percentile(paid_ms, 0.95),
    }
    return Sample(
        row, len(buyers), measured.window, figures, faults=outcome.faults(ordered, accepted_status=202)
    )
