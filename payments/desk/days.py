"""The dashboard's figures per day, counted by the hour.

An order's number begins with its hour, and a payment's with its order's number, so an hour is a range of an
index that exists anyway. Counts are cached in Valkey. Each request counts missing hours, newest first, within
a time budget, and the next request continues: how long one takes doesn't depend on how much a shop sells in a
day. If Valkey can't keep the counts, no request can continue.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from time import monotonic_ns
from typing import Any

from django.utils import timezone

from payments.states import RefundStatus
from shop import valkey
from shop.domain import sql

DAYS = 30
HOUR = timedelta(hours=1)
# The time budget of one request.
BUDGET_NS = 100 * 1_000_000
# A count is kept for a tenth of its hour's age, within these limits: old orders rarely change.
MIN_KEPT, MAX_KEPT = timedelta(seconds=10), timedelta(days=2)

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One day: its orders by their current status, the money received for them, and what was refunded on that
    day. Amounts are in fen.
    """

    day: str
    orders: Mapping[str, int]
    requests: int
    cash_fen: int
    refunded_fen: int


@dataclass(frozen=True, slots=True)
class Days:
    """Days, oldest first; None for a day that isn't fully counted yet.

    `is_kept` says whether the counts are cached, so that the next call can continue from here.
    """

    figures: Sequence[DayFigures | None]
    is_kept: bool

    @property
    def is_complete(self) -> bool:
        return None not in self.figures


def read_days(*, now: datetime, days: int = DAYS) -> Days:
    """The figures of the last `days` days."""
    newest = timezone.localtime(now).replace(minute=0, second=0, microsecond=0)
    hours = [newest - back * HOUR for back in range(newest.hour + 1 + 24 * (days - 1))]
    recalled = _recall(hours)
    known, is_kept = recalled or {}, recalled is not None
    size, ends_at = 1, monotonic_ns() + BUDGET_NS
    while (first := _first_missing(hours, known)) is not None and (began := monotonic_ns()) < ends_at:
        counted = _count(hours[first : first + size])
        is_kept = is_kept and _remember(counted, now=now)
        known |= counted
        # Counting a month in a small shop is as fast as counting an hour, so the batches grow; in a large
        # shop the budget ends the loop.
        if (monotonic_ns() - began) * 8 < BUDGET_NS:
            size *= 4
    by_day = groupby(reversed(hours), key=lambda hour: hour.strftime("%Y%m%d"))
    figures = [_sum_up(day, [known.get(hour) for hour in of_day]) for day, of_day in by_day]
    return Days(figures, is_kept)


def _first_missing(hours: Sequence[datetime], known: Mapping[datetime, Counts]) -> int | None:
    return next((at for at, hour in enumerate(hours) if hour not in known), None)


def _sum_up(day: str, hours: Sequence[Counts | None]) -> DayFigures | None:
    total: Counter[str] = Counter()
    for counts in hours:
        if counts is None:
            return None
        total.update(counts)
    numbers = {name: total.pop(name, 0) for name in ("requests", "cash_fen", "refunded_fen")}
    return DayFigures(day=day, orders=total, **numbers)


# Requests are counted by an index-only scan. `_sum_up` names the counts that aren't of an order's status.
_COUNTS = sql.statement(
    """
    SELECT left(order_number, 10), status, count(*) FROM shop_order
        WHERE order_number >= %(first)s AND order_number < %(end)s GROUP BY 1, 2
    UNION ALL
    SELECT left(order_number, 10), 'requests', count(*) FROM shop_orderrequest
        WHERE order_number >= %(first)s AND order_number < %(end)s GROUP BY 1
    UNION ALL
    SELECT left(out_trade_no, 10), 'cash_fen', (sum(amount) * 100)::bigint FROM payments_payment
        WHERE out_trade_no >= %(first)s AND out_trade_no < %(end)s AND paid_at IS NOT NULL GROUP BY 1
    UNION ALL
    SELECT to_char(finished_at AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDDHH24'), 'refunded_fen',
        (sum(amount) * 100)::bigint FROM payments_refund
        WHERE finished_at >= %(first_at)s AND finished_at < %(end_at)s
            AND status IN ({RefundStatus.SUCCEEDED}, {RefundStatus.PAID_ELSEWHERE}) GROUP BY 1
""",
    RefundStatus,
)


def _count(hours: Sequence[datetime]) -> dict[datetime, Counts]:
    """Counts neighbouring hours, newest first."""
    first, end = hours[-1], hours[0] + HOUR
    limits = {"first": _word(first), "end": _word(end), "first_at": first, "end_at": end}
    found: dict[str, dict[str, int]] = {_word(hour): {} for hour in hours}
    for word, name, number in sql.read(_COUNTS, limits):
        found[word][name] = number
    return {hour: found[_word(hour)] for hour in hours}


def _word(hour: datetime) -> str:
    return hour.strftime("%Y%m%d%H")


def _recall(hours: Sequence[datetime]) -> dict[datetime, Counts] | None:
    """The cached counts of the hours; None if Valkey doesn't answer."""
    try:
        found: Any = valkey.client().mget([valkey.hour_key(_word(hour)) for hour in hours])
    except valkey.Unreachable:
        return None
    return {hour: json.loads(stored) for hour, stored in zip(hours, found, strict=True) if stored}


def _remember(counted: Mapping[datetime, Counts], *, now: datetime) -> bool:
    """Caches the counts; False if Valkey is unreachable or full."""
    try:
        with valkey.client().pipeline(transaction=False) as pipeline:
            for hour, counts in counted.items():
                kept = min(max((now - hour - HOUR) / 10, MIN_KEPT), MAX_KEPT)
                pipeline.set(valkey.hour_key(_word(hour)), json.dumps(counts), ex=kept)
            pipeline.execute()
    except valkey.Unreachable:
        return False
    return True
