"""Running totals of the append-only tables, for counters that come from the books themselves: they never
decrease, whichever process is scraped.

Adding up millions of rows for each scrape would be too slow. So rows that can't change any more are folded
into a measurement once a minute, and a scrape adds the rows since. Ids are assigned before their transactions
commit, so a row may appear below others that are already visible. A fold therefore stops at the highest id
that the previous fold saw, once every transaction of that time has ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shop.domain import sql
from shop.domain.measures import measurements
from shop.models import Measurement

# The most that one fold, and one scrape, adds up. At ten rows an order this keeps up with hundreds of orders
# a second.
FOLD_IDS = 1_000_000
LIVE_IDS = 50_000

Sums = dict[str, int]


@dataclass(frozen=True, slots=True)
class Total:
    """An append-only table, the expression that groups its rows, and the expression that is added up, a whole
    number.
    """

    name: str
    table: str
    kind: str
    amount: str


ORDER_EVENTS = Total("order_events", "shop_orderevent", "kind", "1")
# In fen, and in hundredths of 贝里: both are stored with two places.
LEDGER = Total("ledger", "shop_ledgertransfer", "currency || ':' || debit || ':' || credit", "amount * 100")
TOTALS = (ORDER_EVENTS, LEDGER)


@dataclass(frozen=True, slots=True)
class _Folded:
    """`sums` covers every id up to `up_to`.

    The next fold goes up to `next_to`, once all transactions below `next_xid` have ended.
    """

    up_to: int
    next_to: int
    next_xid: int
    sums: Mapping[str, int]


def read_totals(total: Total) -> Sums:
    """The sum of each kind, including the rows that aren't folded yet."""
    folded = _folded(measurements.find(total.name))
    live = _add_up(total, folded.up_to, folded.up_to + LIVE_IDS)
    return _merged(folded.sums, live)


_HORIZON = """
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
        (SELECT coalesce(max(id), 0) FROM {table})
"""


def fold(total: Total, *, now: datetime) -> int:
    """Adds what can't change any more to the measurement; returns how many ids it advanced.

    Two folds at once have the effect of one.
    """
    before = measurements.find(total.name)
    folded = _folded(before)
    [(xmin, xmax, highest)] = sql.read(_HORIZON.format(table=total.table), [])
    # A transaction number in the future comes from another server, whose dump was restored here: no
    # transaction of that time is running.
    is_settled = xmin >= folded.next_xid or folded.next_xid > xmax
    up_to = folded.next_to if is_settled else folded.up_to
    sums = _merged(folded.sums, _add_up(total, folded.up_to, up_to)) if is_settled else dict(folded.sums)
    next_to, next_xid = (
        (min(highest, up_to + FOLD_IDS), xmax) if is_settled else (folded.next_to, folded.next_xid)
    )
    value = {"up_to": up_to, "next_to": next_to, "next_xid": next_xid, "sums": sums}
    if before is None:
        is_kept = measurements.note_first(total.name, value, now=now)
    else:
        same = Measurement.objects.filter(name=total.name, taken_at=before.taken_at, value=before.value)
        is_kept = same.update(value=value, taken_at=now) == 1
    return up_to - folded.up_to if is_kept else 0


def _folded(found: Measurement | None) -> _Folded:
    return _Folded(0, 0, 0, {}) if found is None else _Folded(**found.value)


def _add_up(total: Total, after: int, up_to: int) -> Sums:
    sums = f"SELECT {total.kind}, sum({total.amount})::bigint FROM {total.table}"  # noqa: S608 - words of ours
    statement = f"{sums} WHERE id > %s AND id <= %s GROUP BY 1"
    found: list[tuple[str, Any]] = sql.read(statement, [after, up_to])
    return {kind: int(amount) for kind, amount in found}


def _merged(first: Mapping[str, int], second: Mapping[str, int]) -> Sums:
    return {kind: first.get(kind, 0) + second.get(kind, 0) for kind in sorted({*first, *second})}
