"""Where a search for due rows begins, so that none scans rows that were done long ago.

Every claim and every completion leaves a dead entry in the partial index of due rows. PostgreSQL removes dead
entries, but not while an older snapshot is open (a backup, a report, a forgotten session). Until then every
search from the beginning reads all of them. So each process keeps a floor for each table, a place in the
index below which it has seen no unfinished row, and searches from there.

A floor may be wrong: a row's transaction may have committed late, or made the row due in the past. The last
`SLACK` before the present, which is longer than a statement takes, is never skipped. Rows that appear later
than that are found by `check_floor`, which the sweep calls: it searches from the very beginning, and if it
finds an overdue row, it increments a sequence that every search reads. A process that sees a new value drops
its floor and searches from the beginning. A sequence suits this because a change is visible at once, to
everybody, even if the transaction rolls back.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shop.domain import sql
from shop.models.work import CLAIMED, FRESH, Work

# Longer than an insert takes until its commit, for fresh rows. Claimed rows get their due time seconds before
# it comes.
SLACK = {FRESH: timedelta(milliseconds=500), CLAIMED: timedelta(milliseconds=50)}
# A row that has been due for this long was overlooked, or there is a backlog. Searching from the beginning
# fixes the former and doesn't hurt the latter.
OVERDUE = timedelta(seconds=3)
# A floor rises after a process has claimed this many rows: before that there is little to skip.
RISES_AFTER_ROWS = 64
# The shortest time between two searches from the beginning. They take at most a hundredth of the time.
CHECK_EVERY_S = 5.0
CHECK_SHARE = 0.01

Place = tuple[datetime, int]
BEGINNING: Place = (datetime(1, 1, 1, tzinfo=UTC), 0)


@dataclass(slots=True)
class _Floor:
    place: Place = BEGINNING
    # The count of the sequence when this began.
    count: int | None = None
    rows_claimed: int = 0


# Of this process, by table and kind (`FRESH` or `CLAIMED`).
_floors: dict[tuple[str, int], _Floor] = {}
# When this process may look from the beginning again, by table.
_next_checks: dict[str, float] = {}


def due_rows(kind: int) -> str:
    """The condition of a search among rows of one kind. Parameters: `parameters`."""
    return f"""
        LEAST(attempts, 1) = {kind} AND available_at IS NOT NULL AND available_at <= %(now)s
        AND (available_at, id) >= (%(floor_at)s, %(floor_id)s)
    """


def look(table: str, kind: int, own: str) -> str:
    """The end of a statement that looks: one row, with what `note` wants to know of its moment and then the
    look's `own` columns.
    """
    return f"""
        seen AS ({_first(table, kind)})
        SELECT (SELECT last_value FROM {table}_overlooked), (SELECT available_at FROM seen), (SELECT id
            FROM seen), {own}
    """  # noqa: S608 - names of ours


def _first(table: str, kind: int) -> str:
    return f"SELECT available_at, id FROM {table} WHERE {due_rows(kind)} ORDER BY available_at, id LIMIT 1"  # noqa: S608 - names of ours


def parameters(table: str, kind: int, *, now: datetime) -> dict[str, Any]:
    """Where this process's search begins and ends."""
    at, pk = _floors.setdefault((table, kind), _Floor()).place
    return {"now": now, "floor_at": at, "floor_id": pk}


def note(table: str, kind: int, seen: Sequence[Any], *, now: datetime, claimed: int = 0) -> bool:
    """Takes in what a look has seen: count, time and id of the first due row.

    False if it has to be repeated, since somebody has found that rows were overlooked.
    """
    floor = _floors.setdefault((table, kind), _Floor())
    count, first_at, first_id = seen
    was_low = floor.place == BEGINNING
    if count != floor.count or floor.place[0] > now:
        # The second: the clock went back.
        floor.place, floor.count, floor.rows_claimed = BEGINNING, count, 0
        return was_low
    floor.rows_claimed += claimed
    if floor.rows_claimed >= RISES_AFTER_ROWS:
        floor.place, floor.rows_claimed = (
            _risen(floor.place, first_at, first_id, highest=now - SLACK[kind]),
            0,
        )
    return True


def _risen(place: Place, first_at: datetime | None, first_id: int | None, *, highest: datetime) -> Place:
    """Up to the first unfinished row, and never into the present, where other transactions may still be
    writing.
    """
    risen = (highest, 0)
    if first_at is not None and first_id is not None:
        risen = min(risen, (first_at, first_id))
    return max(place, risen)


def check_floor(model: type[Work], *, now: datetime) -> None:
    """Searches from the beginning now and then. If it finds an overdue row, all processes search from the
    beginning, too.
    """
    table = model._meta.db_table
    started = time.monotonic()
    if started < _next_checks.get(table, 0.0):
        return
    place = {"now": now - OVERDUE, "floor_at": BEGINNING[0], "floor_id": BEGINNING[1]}
    found = [row for kind in (FRESH, CLAIMED) for row in sql.read(_first(table, kind), place)]
    took = time.monotonic() - started
    _next_checks[table] = started + max(CHECK_EVERY_S, took / CHECK_SHARE)
    if found:
        sql.read(f"SELECT nextval('{table}_overlooked')", [])


def forget() -> None:
    """Starts over, as a new process does."""
    _floors.clear()
    _next_checks.clear()
