"""Alipay's notifications, stored by the web process and applied by the worker; and the cost of a slow Alipay:
how many expiring orders are closed, and how long other orders wait meanwhile.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx

from bench.client import Client, Plan, build_request
from bench.results import Sample, percentile
from bench.scenarios import Size
from bench.scenarios.orders import read_outcome
from bench.seed import CASH, REQUESTS, OpenOrder, seed_buyers, seed_open_orders
from bench.stage import Stage
from payments.simulator.keys import KeyFolder
from payments.simulator.messages import compose
from project.local.simulator import Merchant

PATH, INBOX, CONNECTIONS = "/api/v1/payments/alipay/notify/", "payments_notification", 16
# Response times of Alipay; 60 s is longer than the shop waits.
LATENCIES_S = (0.0, 0.05, 0.2, 1.0, 60.0)
BACKLOG, RATE = 2_000, 5.0


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Storing with the worker paused, then applying what was stored, then both at once until all is paid."""
    if not stage.counts_statements:  # the worker would start before counting does
        yield from _measure_halves(stage, size.notifications // 2)
    yield measure_whole(stage, "notify whole", size.notifications)


def _measure_halves(stage: Stage, count: int) -> Iterator[Sample]:
    orders = seed_open_orders(stage, count)
    intake, _ = stage.play("notify intake", plan_notifications(stage, orders), status=200, is_web_alone=True)
    with stage.measured() as meter:  # immediately, since the worker has resumed
        stage.wait_drained(INBOX)
    yield intake
    figures = {"per_s": count / meter.window.wall_s}
    yield Sample("notify apply", count, meter.window, figures, faults=_unpaid(stage, orders))


def measure_whole(stage: Stage, row: str, count: int) -> Sample:
    """Measures from the first notification sent to the last order paid."""
    orders = seed_open_orders(stage, count)
    sample, result = stage.play(row, plan_notifications(stage, orders), status=200, drains=INBOX)
    took_s = max(paid_at(stage, orders).values()) - min(result.sent_at)
    faults = [*sample.faults, *_unpaid(stage, orders)]
    return replace(sample, figures={**sample.figures, "per_s": count / took_s}, faults=faults)


def pay_orders(stage: Stage, orders: Sequence[OpenOrder]) -> None:
    """Notifies the shop that all orders are paid, and waits until it has applied that."""
    stage.send(plan_notifications(stage, orders).requests, connections=CONNECTIONS)
    stage.wait_drained(INBOX)


def plan_notifications(stage: Stage, orders: Sequence[OpenOrder], *, rate: float | None = None) -> Plan:
    """A TRADE_SUCCESS notification for each order, sent as fast as possible or at `rate` per second."""
    merchant = Merchant(stage.state.simulator_folder)
    keys = KeyFolder(merchant.folder / "keys" / merchant.app_id)
    fields = {
        "notify_time": "2026-03-02 12:01:05", "notify_type": "trade_status_sync", "charset": "utf-8",
        "version": "1.0", "app_id": merchant.app_id, "auth_app_id": merchant.app_id,
        "seller_id": merchant.seller_id, "buyer_id": "2088622958603995", "trade_status": "TRADE_SUCCESS",
        "total_amount": CASH, "receipt_amount": CASH, "subject": "课程 1 等2门课程",
        "gmt_create": "2026-03-02 12:00:30", "gmt_payment": "2026-03-02 12:01:04",
        "fund_bill_list": f'[{{"amount":"{CASH}","fundChannel":"ALIPAYACCOUNT"}}]',
    }  # fmt: skip

    def request(order: OpenOrder) -> bytes:
        number = order.buyer.account_id
        own = {"notify_id": f"2026030200222{number:021}", "trade_no": f"20260302220014{number:014}"}
        message = compose(keys, {**fields, **own, "out_trade_no": order.out_trade_no}, faults=[])
        headers = [("Content-Type", message.content_type)]
        return build_request("POST", PATH, headers=headers, body=message.body)

    return Plan(stage.ports["web"], [request(order) for order in orders], CONNECTIONS, rate)


def paid_at(stage: Stage, orders: Sequence[OpenOrder]) -> dict[str, float]:
    """The time at which each paid order was committed, by order number."""
    query = """
        SELECT order_number, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM shop_order
        WHERE order_number = ANY(%s) AND status = 'paid'
    """
    return dict(stage.rows(query, [order.order_number for order in orders]))


def _unpaid(stage: Stage, orders: Sequence[OpenOrder]) -> list[str]:
    missing = len(orders) - len(paid_at(stage, orders))
    return [f"{missing} of {len(orders)} orders are not paid"] if missing else []


def measure_gateway(stage: Stage, size: Size) -> Iterator[Sample]:
    """Expires orders while others are placed and paid at a steady rate, with an ever slower simulator."""
    for latency_s in LATENCIES_S:
        expiring = seed_open_orders(stage, BACKLOG)
        paying = seed_open_orders(stage, int(size.gateway_s * RATE))
        with stage.running("simulator", "gateway"):
            _answer_after(stage, latency_s)
            sample = _measure_one(stage, f"gateway {latency_s:g} s", expiring, paying)
        yield sample
        for table in ("shop_order", "payments_payment"):
            stage.put_off(table, "available_at IS NOT NULL")


def _answer_after(stage: Stage, latency_s: float) -> None:
    url = stage.env["ALIPAY_GATEWAY_URL"].replace("/gateway.do", "/control")
    fault = {"kind": "slow", "params": {"seconds": latency_s}, "times": None}
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as control:
        control.delete("faults").raise_for_status()
        if latency_s:
            control.post("faults", json=fault).raise_for_status()


def _measure_one(
    stage: Stage, row: str, expiring: Sequence[OpenOrder], paying: Sequence[OpenOrder]
) -> Sample:
    buyers, numbers = seed_buyers(stage, len(paying)), [order.order_number for order in expiring]
    ordering = Plan(stage.ports["web"], [buyer.order() for buyer in buyers], CONNECTIONS, RATE)
    with (
        Client(ordering) as orderer,
        Client(plan_notifications(stage, paying, rate=RATE)) as payer,
        ThreadPoolExecutor() as pool,
        stage.measured() as meter,
    ):
        expire = """
            UPDATE shop_order SET expires_at = now() - interval '2 minutes', closes_at = now(),
                available_at = now() WHERE order_number = ANY(%s)
        """
        stage.connection.execute(expire, [numbers])
        started = time.time()
        paid, ordered = pool.map(Client.run, (payer, orderer))
        took_s = time.time() - started
        query = "SELECT count(*) FROM shop_order WHERE order_number = ANY(%s) AND status = 'expired'"
        ((closed,),) = stage.rows(query, numbers)
        # Orders and notifications that the backlog delayed count, too.
        stage.wait_drained(REQUESTS)
        stage.wait_drained(INBOX)
    times, outcome = paid_at(stage, paying), read_outcome(stage, buyers)
    paid_ms = [1000 * (times[one.order_number] - at) for one, at in zip(paying, paid.sent_at, strict=True)]
    figures = {
        "closed_per_s": closed / took_s,
        "created_p50_ms": percentile(outcome.latencies_ms, 0.5),
        "created_p99_ms": percentile(outcome.latencies_ms, 0.99),
        "paid_p95_ms": percentile(paid_ms, 0.95),
    }
    return Sample(row, len(buyers), meter.window, figures, faults=outcome.faults(ordered, status=202))
