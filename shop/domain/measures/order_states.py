"""How many orders are in each state now, without counting them all.

States change, so a running total won't do. Orders are counted in ranges of ids (stretches), and a stretch is
recounted when one of its orders has a new event, since no state changes without one. That is a handful of the
newest stretches a minute, and one more for each old order that is refunded.

Event ids are assigned before their transactions commit. So each fold reads the events of the previous one
again, until every transaction of their time has ended.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import datetime

from shop.domain import sql
from shop.domain.measures import measurements
from shop.models import Measurement
from shop.states import OrderStatus

NAME = "order_states"
# Counting this many orders by primary key takes a millisecond or two.
STRETCH = 10_000
# The most events that one fold reads: a history of millions is counted within minutes.
FOLD_EVENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class _Folded:
    """`stretches` has the number of orders of each stretch by state. Every event up to `up_to` is taken into
    account.

    So is every event up to `next_to`, once all transactions below `next_xid` have ended.
    """

    up_to: int = 0
    next_to: int = 0
    next_xid: int = 0
    stretches: dict[str, dict[str, int]] = field(default_factory=dict)


def read_order_states() -> dict[str, int]:
    """The orders in each state, as of the last fold."""
    total = Counter(dict.fromkeys(OrderStatus.values, 0))
    for counts in _read(measurements.find(NAME)).stretches.values():
        total.update(counts)
    return dict(total)


_HORIZON = """
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
        (SELECT coalesce(max(id), 0) FROM shop_orderevent)
"""
_CHANGED = "SELECT DISTINCT order_id / %s FROM shop_orderevent WHERE id > %s AND id <= %s"
_COUNT = "SELECT status, count(*) FROM shop_order WHERE id >= %s AND id < %s GROUP BY status"


def fold_order_states(*, now: datetime) -> int:
    """Recounts the stretches that have changed; returns how many. Two folds at once act as one."""
    before = measurements.find(NAME)
    folded = _read(before)
    [(xmin, xmax, highest)] = sql.read(_HORIZON, [])
    # A transaction number in the future comes from another server, whose dump was restored here.
    is_settled = xmin >= folded.next_xid or folded.next_xid > xmax
    up_to = folded.next_to if is_settled else folded.up_to
    seen_to = min(highest, up_to + FOLD_EVENTS)
    changed = [number for (number,) in sql.read(_CHANGED, [STRETCH, folded.up_to, seen_to])]
    stretches = folded.stretches | {str(number): _count(number) for number in changed}
    next_to, next_xid = (max(seen_to, up_to), xmax) if is_settled else (folded.next_to, folded.next_xid)
    value = asdict(_Folded(up_to, next_to, next_xid, stretches))
    if before is None:
        is_kept = measurements.note_first(NAME, value, now=now)
    else:
        same = Measurement.objects.filter(name=NAME, taken_at=before.taken_at, value__up_to=folded.up_to)
        is_kept = same.update(value=value, taken_at=now) == 1
    return len(changed) if is_kept else 0


def _read(found: Measurement | None) -> _Folded:
    return _Folded() if found is None else _Folded(**found.value)


def _count(number: int) -> dict[str, int]:
    return dict(sql.read(_COUNT, [number * STRETCH, (number + 1) * STRETCH]))
