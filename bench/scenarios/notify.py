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

from bench.client import Plan, build_request
from bench.results import Sample, http_figures
from bench.scenarios.open_orders import OpenOrder, numbers_of, seed_open_orders
from bench.seed import APP_ID, CASH, SELLER_ID
from bench.size import Size
from bench.stage import Stage

PATH, INBOX, CONNECTIONS = "/api/v1/payments/alipay/notify/", "payments_notification", 16


def measure(stage: Stage, size: Size) -> Iterator[Sample]:
    """Taking in with the worker stopped, then applying what has come in, then both at once until every order
    is paid.
    """
    yield from _measure_halves(stage, size.notifications // 2)
    yield measure_whole(stage, "notify whole", size.notifications)


def _measure_halves(stage: Stage, count: int) -> Iterator[Sample]:
    """HTTP → committed inbox row, and inbox row → paid order, each alone."""
    orders = seed_open_orders(stage, count)
    with stage.connect() as connection, stage.client(plan_notifications(stage, orders)) as client:
        with stage.frozen("worker", "beat"), stage.measured() as intake:
            result = client.run()
        with stage.measured() as applied:  # at once: the worker has begun
            stage.wait_drained(connection, INBOX)
        faults = _unpaid(connection, orders)
    yield Sample("notify intake", count, intake.window, http_figures(result), faults=result.not_expected(200))
    yield Sample(
        "notify apply", count, applied.window, {"per_s": count / applied.window.wall_s}, faults=faults
    )


def measure_whole(stage: Stage, row: str, count: int) -> Sample:
    """From the first notification sent to the last order paid."""
    orders = seed_open_orders(stage, count)
    with stage.connect() as connection, stage.client(plan_notifications(stage, orders)) as client:
        with stage.measured() as measured:
            result = client.run()
            stage.wait_drained(connection, INBOX)
        last_paid_at = max(paid_at(connection, orders).values())
        faults = [*result.not_expected(200), *_unpaid(connection, orders)]
    per_s = count / (last_paid_at - min(result.sent_at))
    return Sample(row, count, measured.window, http_figures(result) | {"per_s": per_s}, faults=faults)


def count_statements(stage: Stage, size: Size) -> dict[str, float]:
    """SQL statements of one notification from HTTP to a paid order."""
    orders = seed_open_orders(stage, size.counted)
    with stage.statements_counted() as counted:
        pay_orders(stage, orders)
    return {"notify whole": counted[0] / size.counted}


def pay_orders(stage: Stage, orders: Sequence[OpenOrder]) -> None:
    """Tells the shop that all are paid, and returns when it has done what follows."""
    with stage.connect() as connection:
        stage.send(plan_notifications(stage, orders).requests, connections=CONNECTIONS)
        stage.wait_drained(connection, INBOX)


def plan_notifications(stage: Stage, orders: Sequence[OpenOrder], *, rate: float | None = None) -> Plan:
    """A notification for each order, as fast as they are answered or at a rate."""
    key = load_pem_private_key(
        (stage.folder / "simulator" / "keys" / APP_ID / "alipay_private_key.pem").read_bytes(), None
    )
    assert isinstance(key, RSAPrivateKey)
    return Plan(stage.web_port, [_notification(order, key) for order in orders], CONNECTIONS, rate)


def _notification(order: OpenOrder, key: RSAPrivateKey) -> bytes:
    """A TRADE_SUCCESS as Alipay sends it, signed."""
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
        "total_amount": CASH,
        "receipt_amount": CASH,
        "subject": "课程 1 等2门课程",
        "gmt_create": "2026-03-02 12:00:30",
        "gmt_payment": "2026-03-02 12:01:04",
        "fund_bill_list": json.dumps(
            [{"amount": CASH, "fundChannel": "ALIPAYACCOUNT"}], separators=(",", ":")
        ),
    }
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    signature = base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()
    body = urlencode({**fields, "sign_type": "RSA2", "sign": signature}).encode()
    headers = [("Content-Type", "application/x-www-form-urlencoded; text/html; charset=UTF-8")]
    return build_request("POST", PATH, headers=headers, body=body)


def paid_at(connection: psycopg.Connection[Any], orders: Sequence[OpenOrder]) -> dict[str, float]:
    """When each paid order was committed, by its number."""
    query = """
        SELECT order_number, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 FROM shop_order
        WHERE order_number = ANY(%s) AND status = 'paid'
    """
    return dict(connection.execute(query, [numbers_of(orders)]).fetchall())


def _unpaid(connection: psycopg.Connection[Any], orders: Sequence[OpenOrder]) -> list[str]:
    missing = len(orders) - len(paid_at(connection, orders))
    return [f"{missing} of {len(orders)} orders are not paid"] if missing else []
