"""The dashboard's numbers.

What needs a person is counted by partial indexes. The figures of a day are counted over the numbers of its
orders, and cached: an order's number begins with its day, and a payment's with its order's number, so a day
is a range of an index that exists anyway.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from payments.states import (
    DifferenceStatus,
    NotificationStatus,
    PaymentStatus,
    RefundKind,
    RefundStatus,
)
from shop import valkey
from shop.clock import shanghai_date
from shop.domain import sql
from shop.states import OrderRequestStatus

DAYS = 30
# How long one page counts days that aren't cached yet; the next page continues.
BUDGET_MS = 120
TODAY_S, PAST_S = 10, 6 * 3600


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many rows need a person, or are due for the shop itself."""

    refunds_to_approve: int
    refunds_to_explain: int
    refunds_failed: int
    notifications_quarantined: int
    orders_dead: int
    requests_dead: int
    payments_dead: int
    refunds_dead: int
    differences_open: int
    bills_dead: int
    oldest_due_at: datetime | None


_WAITING = sql.statement(
    """
    SELECT
        (SELECT count(*) FROM payments_refund WHERE status = {RefundStatus.REQUESTED}
            AND approved_at IS NULL),
        (SELECT count(*) FROM payments_refund WHERE kind = {RefundKind.EXTERNAL} AND explanation = ''
            AND status <> {RefundStatus.REJECTED}),
        (SELECT count(*) FROM payments_refund WHERE status = {RefundStatus.FAILED}),
        (SELECT count(*) FROM payments_notification WHERE status = {NotificationStatus.QUARANTINED}),
        (SELECT count(*) FROM shop_order WHERE dead_at IS NOT NULL),
        (SELECT count(*) FROM shop_orderrequest WHERE dead_at IS NOT NULL),
        (SELECT count(*) FROM payments_payment WHERE dead_at IS NOT NULL),
        (SELECT count(*) FROM payments_refund WHERE dead_at IS NOT NULL),
        (SELECT count(*) FROM payments_billdifference WHERE status = {DifferenceStatus.OPEN}),
        (SELECT count(*) FROM payments_bill WHERE dead_at IS NOT NULL),
        least(
            (SELECT min(available_at) FROM shop_order WHERE available_at IS NOT NULL),
            (SELECT min(available_at) FROM shop_orderrequest WHERE available_at IS NOT NULL),
            (SELECT min(available_at) FROM payments_payment WHERE available_at IS NOT NULL),
            (SELECT min(available_at) FROM payments_refund WHERE available_at IS NOT NULL),
            (SELECT min(available_at) FROM payments_notification WHERE available_at IS NOT NULL),
            (SELECT min(available_at) FROM payments_bill WHERE available_at IS NOT NULL)
        )
""",
    DifferenceStatus,
    NotificationStatus,
    RefundKind,
    RefundStatus,
)


def count_waiting() -> Waiting:
    """Counts in one statement, each count through its partial index."""
    (found,) = sql.read(_WAITING, [])
    return Waiting(*found)


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One day: its orders by their current status, the money received for them, and what was refunded on that
    day. Amounts are in fen.
    """

    day: str
    orders: Mapping[str, int]
    requests: int
    rejected: int
    cash_fen: int
    refunded_fen: int


_ORDERS = """
    SELECT left(order_number, 8), status, count(*) FROM shop_order WHERE order_number >= %s
        AND order_number < %s GROUP BY 1, 2
"""
_REQUESTS = sql.statement(
    """
    SELECT left(order_number, 8), count(*), count(*) FILTER (WHERE status = {OrderRequestStatus.REJECTED})
    FROM shop_orderrequest
    WHERE order_number >= %s AND order_number < %s GROUP BY 1
""",
    OrderRequestStatus,
)
_CASH = """
    SELECT left(out_trade_no, 8), sum(amount) FROM payments_payment
    WHERE out_trade_no >= %s AND out_trade_no < %s AND paid_at IS NOT NULL GROUP BY 1
"""
_REFUNDS = sql.statement(
    """
    SELECT to_char(finished_at AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDD'), sum(amount) FROM payments_refund
    WHERE finished_at >= %s AND finished_at < %s
        AND status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE}) GROUP BY 1
""",
    RefundStatus,
)


def read_days(*, now: datetime, days: int = DAYS) -> list[DayFigures | None]:
    """The figures of the last `days` days, oldest first; None for a day that hasn't been counted yet."""
    today = shanghai_date(now)
    wanted = [today - timedelta(days=back) for back in range(days)]  # newest first: staff look at these first
    known = _recall(wanted)
    missing = [day for day in wanted if day not in known]
    started, size = time.monotonic_ns(), 1
    while missing and (time.monotonic_ns() - started) // 1_000_000 < BUDGET_MS:
        chunk, missing = missing[:size], missing[size:]
        counted = _count(chunk)
        _remember(counted, today=today)
        known |= counted
        # In a small shop a month takes no longer than a day; in a large one the budget ends the loop.
        size *= 4
    return [known.get(day) for day in reversed(wanted)]


def _count(chunk: Sequence[date]) -> dict[date, DayFigures]:
    first, last = min(chunk), max(chunk)
    ends = [_word(first), _word(last + timedelta(days=1))]
    orders: dict[str, dict[str, int]] = {}
    for day, status, count in sql.read(_ORDERS, ends):
        orders.setdefault(day, {})[status] = count
    requests = {day: (count, rejected) for day, count, rejected in sql.read(_REQUESTS, ends)}
    cash: dict[str, Decimal] = dict(sql.read(_CASH, ends))
    midnights = [
        timezone.make_aware(datetime(day.year, day.month, day.day))  # noqa: DTZ001 - made aware
        for day in (first, last + timedelta(days=1))
    ]
    refunded: dict[str, Decimal] = dict(sql.read(_REFUNDS, midnights))
    return {
        day: DayFigures(
            day=word,
            orders=orders.get(word, {}),
            requests=requests.get(word, (0, 0))[0],
            rejected=requests.get(word, (0, 0))[1],
            cash_fen=int(cash.get(word, 0) * 100),
            refunded_fen=int(refunded.get(word, 0) * 100),
        )
        for day, word in ((day, _word(day)) for day in chunk)
    }


def _word(day: date) -> str:
    return day.strftime("%Y%m%d")


def _recall(days: Sequence[date]) -> dict[date, DayFigures]:
    try:
        found: Any = valkey.client().mget([valkey.day_key(_word(day)) for day in days])
    except valkey.Unreachable:
        return {}
    return {day: DayFigures(**json.loads(stored)) for day, stored in zip(days, found, strict=True) if stored}


def _remember(counted: Mapping[date, DayFigures], *, today: date) -> None:
    try:
        client = valkey.client()
        for day, figures in counted.items():
            told = {name: getattr(figures, name) for name in DayFigures.__slots__}
            client.set(valkey.day_key(_word(day)), json.dumps(told), ex=TODAY_S if day == today else PAST_S)
    except valkey.Unreachable:
        return


@dataclass(frozen=True, slots=True)
class Latency:
    """The median and the 95th percentile; None without data."""

    median: timedelta | None
    p95: timedelta | None


_CREATED = """
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY took),
        percentile_disc(0.95) WITHIN GROUP (ORDER BY took) FROM (
        SELECT decided_at - created_at AS took
        FROM (SELECT * FROM shop_orderrequest ORDER BY id DESC LIMIT 1000) AS newest
        WHERE decided_at IS NOT NULL
    ) AS decided
"""
_OPENED = sql.statement(
    """
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY took),
        percentile_disc(0.95) WITHIN GROUP (ORDER BY took) FROM (
        SELECT orders.paid_at - payment.paid_at AS took
        FROM (SELECT * FROM payments_payment ORDER BY id DESC LIMIT 1000) AS payment
        -- OFFSET 0 keeps it a look by primary key for each of the thousand.
        CROSS JOIN LATERAL (SELECT paid_at FROM shop_order WHERE id = payment.order_id OFFSET 0) AS orders
        WHERE payment.status = {PaymentStatus.PAID} AND NOT payment.is_surplus AND orders.paid_at IS NOT NULL
    ) AS opened
""",
    PaymentStatus,
)


def read_latencies() -> tuple[Latency, Latency]:
    """From accepting a request to deciding it, and from payment at the gateway to access; newest thousand
    each.
    """
    return Latency(*sql.read(_CREATED, [])[0]), Latency(*sql.read(_OPENED, [])[0])
