"""Alipay's notifications: taken in by the web process, applied by the worker."""

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

import psycopg
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.client import Plan, Result, build_request
from bench.figures import Sample, percentile
from bench.meter import Window
from bench.past import PlacedOrder, add_orders
from bench.scenarios.statements import Counted, count_statements
from bench.size import Size
from bench.stage import Stage
from bench.world import APP_ID, SELLER_ID, unit_quote

PATH = "/api/v1/payments/alipay/notify/"
INBOX = "payments_notification"
CONNECTIONS = 16


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Taking in with the worker held still, then applying what has come in, then both at once until every order is paid."""
    yield from measure_halves(stage, size.notifications // 2)
    yield measure_whole(stage, "notify whole", size.notifications)


def measure_halves(stage: Stage, count: int) -> Iterator[Sample]:
    """HTTP → committed inbox row, and inbox row → paid order, each alone."""
    orders = seed_open_orders(stage, count)
    with stage.connect() as connection, stage.client(plan_notifications(stage, orders)) as client:
        with stage.frozen("worker", "beat"):
            with stage.measured() as measured:
                result = client.run()
                measured.client_s = result.cpu_s
            intake = _sample("notify intake", orders, result, measured.window, per_s=count / result.wall_s)
        with stage.measured() as measured:  # at once: the worker has begun
            stage.wait_drained(connection, INBOX)
        faults = _unpaid(connection, orders)
    yield intake
    yield Sample("notify apply", count, measured.window, figures={"per_s": count / measured.window.wall_s}, faults=faults)


def measure_whole(stage: Stage, row: str, count: int) -> Sample:
    """From the first notification sent to the last order paid."""
    orders = seed_open_orders(stage, count)
    with stage.connect() as connection, stage.client(plan_notifications(stage, orders)) as client:
        with stage.measured() as measured:
            result = client.run()
            stage.wait_drained(connection, INBOX)
            measured.client_s = result.cpu_s
        finished_at = _last_paid_at(connection, orders)
        faults = _unpaid(connection, orders)
    return _sample(row, orders, result, measured.window, per_s=count / (finished_at - min(result.sent_at)), faults=faults)


def count_per_notification(stage: Stage, size: Size) -> list[Counted]:
    """SQL statements of one notification from HTTP to a paid order."""
    orders = seed_open_orders(stage, size.counted)
    with stage.connect() as connection, stage.statements_logged() as logged:
        stage.send(plan_notifications(stage, orders))
        stage.wait_drained(connection, INBOX)
    return [count_statements("notify whole", logged, units=size.counted)]


def seed_open_orders(stage: Stage, count: int) -> list[PlacedOrder]:
    """Orders with an open payment each."""
    orders = add_orders(stage.connect, count, is_paid=False)
    with stage.connect() as connection:
        stage.tidy_up(connection)
    return orders


def plan_notifications(stage: Stage, orders: Sequence[PlacedOrder], *, rate: float | None = None) -> Plan:
    """A notification for each order, as fast as they are answered or at a rate."""
    key = load_pem_private_key((stage.folder / "simulator" / "keys" / APP_ID / "alipay_private_key.pem").read_bytes(), None)
    assert isinstance(key, RSAPrivateKey)
    return Plan(stage.web_port, [_notification(order, key) for order in orders], CONNECTIONS, rate)


def _notification(order: PlacedOrder, key: RSAPrivateKey) -> bytes:
    """A TRADE_SUCCESS as Alipay sends it, signed."""
    amount = str(unit_quote().cash_due)
    fields = {
        "notify_time": "2026-03-02 12:01:05",
        "notify_type": "trade_status_sync",
        "notify_id": f"2026030200222{order.buyer.account_id:021}",
        "charset": "utf-8",
        "version": "1.0",
        "app_id": APP_ID,
        "auth_app_id": APP_ID,
        "seller_id": SELLER_ID,
        "buyer_id": "2088622958603995",
        "trade_no": f"20260302220014{order.buyer.account_id:014}",
        "out_trade_no": order.out_trade_no,
        "trade_status": "TRADE_SUCCESS",
        "total_amount": amount,
        "receipt_amount": amount,
        "subject": "课程 1 等2门课程",
        "gmt_create": "2026-03-02 12:00:30",
        "gmt_payment": "2026-03-02 12:01:04",
        "fund_bill_list": json.dumps([{"amount": amount, "fundChannel": "ALIPAYACCOUNT"}], separators=(",", ":")),
    }
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    signature = base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()
    body = urlencode({**fields, "sign_type": "RSA2", "sign": signature}).encode()
    headers = [("Content-Type", "application/x-www-form-urlencoded; text/html; charset=UTF-8")]
    return build_request("POST", PATH, headers=headers, body=body)


def _sample(row: str, orders: Sequence[PlacedOrder], result: Result, window: Window, *, per_s: float, faults: Sequence[str] = ()) -> Sample:
    http_ms = [1000 * latency for latency in result.latencies_s]
    return Sample(
        row,
        len(orders),
        window,
        figures={"per_s": per_s, "http_p50_ms": percentile(http_ms, 0.5), "http_p99_ms": percentile(http_ms, 0.99)},
        faults=[*result.not_expected(200), *faults],
    )


def _last_paid_at(connection: psycopg.Connection[Any], orders: Sequence[PlacedOrder]) -> float:
    row = connection.execute(
        "SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8 FROM shop_order WHERE order_number = ANY(%s)",
        [[order.order_number for order in orders]],
    ).fetchone()
    assert row is not None
    return float(row[0])


def _unpaid(connection: psycopg.Connection[Any], orders: Sequence[PlacedOrder]) -> list[str]:
    row = connection.execute(
        "SELECT count(*) FROM shop_order WHERE order_number = ANY(%s) AND status <> 'paid'", [[order.order_number for order in orders]]
    ).fetchone()
    assert row is not None
    return [f"{row[0]} of {len(orders)} orders are not paid"] if row[0] else []
