"""One mechanism for every row that is also a piece of work: claim with a lease, count attempts, back off,
give up with an alert.

A claim is its own short transaction, so an attempt counts even if the process is killed in the middle of it.
The effect is a second transaction that locks the row again, checks its status, and clears `available_at`
together with everything else that it writes. A latecomer (a duplicate message, a lease that expired too
early) finds nothing to do.

Times here are PostgreSQL's: `now` comes from `clock.database_now()`, so it doesn't matter which machine makes
a row due and which one claims it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db.models import IntegerField, QuerySet
from django.db.models.expressions import RawSQL

from shop import tracing
from shop.domain import floors, sql
from shop.domain.locks import due_rows
from shop.domain.work import leases
from shop.errors import WorkNotDead
from shop.models.work import CLAIMED, FRESH, Work

log = structlog.get_logger(__name__)

BACKOFF_BASE_S = 2
BACKOFF_MAX_S = 300
DRAIN_S = 10


def take(model: type[Work], *, now: datetime, limit: int) -> dict[int, int]:
    """Claims up to `limit` due rows of `model` for `WORK_LEASE_S` seconds; returns their ids, oldest first,
    each with the number of its attempt, by which `leases.kept` renews the lease.

    Rows that failed before (or whose worker died) come one at a time, so that a row which kills its worker
    can't take others along:
    its neighbours are done before it comes round again.
    """
    return _claim_fresh(model, now=now, limit=limit) or _claim_failed(model, now=now)


def _claim_fresh(model: type[Work], *, now: datetime, limit: int) -> dict[int, int]:
    return _claim(model, now=now, limit=limit, kind=FRESH, condition="attempts = 0")


def _claim_failed(model: type[Work], *, now: datetime) -> dict[int, int]:
    return _claim(
        model, now=now, limit=1, kind=CLAIMED, condition=f"attempts BETWEEN 1 AND {model.MAX_ATTEMPTS - 1}"
    )


def _claim(model: type[Work], *, now: datetime, limit: int, kind: int, condition: str) -> dict[int, int]:
    """What was claimed: ids, in their order, each with the number of its attempt."""
    table = table_of(model)
    statement = f"""
        WITH due AS ({due_rows(table, kind, condition)}), taken AS (
            UPDATE {table} AS work SET attempts = work.attempts + 1, available_at = %(until)s
            FROM due WHERE work.id = due.id RETURNING work.id, work.attempts
        ), {floors.look(table, kind, "ARRAY(SELECT id FROM taken), ARRAY(SELECT attempts FROM taken)")}
    """  # noqa: S608 - table and condition are ours, never input
    more = {"limit": limit, "until": now + timedelta(seconds=settings.WORK_LEASE_S)}
    is_over = False
    taken: dict[int, int] = {}
    while not taken and not is_over:
        [(*seen, ids, attempts)] = sql.read(statement, floors.parameters(table, kind, now=now) | more)
        taken = dict(sorted(zip(ids, attempts, strict=True)))
        is_over = floors.note(table, kind, seen, now=now, claimed=len(ids))
    return taken


@dataclass(frozen=True, slots=True)
class Due:
    """Whether rows are due that nobody has claimed before, and that somebody has: they failed, their worker
    died, or both too often.
    """

    is_fresh_due: bool
    is_claimed_due: bool


def look(model: type[Work], *, now: datetime) -> Due:
    """What is due now."""
    return Due(*(_first_due(model, kind, now=now) is not None for kind in (FRESH, CLAIMED)))


def has_due(model: type[Work], *, now: datetime) -> bool:
    """Whether a claim could take something now."""
    return any(_first_due(model, kind, now=now) is not None for kind in (FRESH, CLAIMED))


def _first_due(model: type[Work], kind: int, *, now: datetime) -> datetime | None:
    table = table_of(model)
    is_over = False
    while not is_over:
        [(*seen, _)] = sql.read(
            f"WITH {floors.look(table, kind, 'NULL')}", floors.parameters(table, kind, now=now)
        )
        is_over = floors.note(table, kind, seen, now=now, claimed=floors.RISES_AFTER_ROWS)
    first_at: datetime | None = seen[1]
    return first_at


def count_due(model: type[Work], *, now: datetime) -> tuple[int, datetime | None]:
    """How many rows are due, and since when the first of them has been.

    From the very beginning: what is overlooked is due, too.
    """
    [(count, first_at)] = sql.read(
        _COUNT_DUE.format(table=table_of(model)), {"fresh": FRESH, "claimed": CLAIMED, "now": now}
    )
    return count, first_at


_COUNT_DUE = """
    SELECT count(*), min(available_at) FROM {table}
    WHERE LEAST(attempts, 1) IN (%(fresh)s, %(claimed)s) AND available_at IS NOT NULL
        AND available_at <= %(now)s
"""


def exhausted(model: type[Work], *, now: datetime) -> "QuerySet[Work]":
    """The due rows that used all their attempts."""
    return _due(model, CLAIMED, now=now).filter(attempts__gte=model.MAX_ATTEMPTS)


def _due(model: type[Work], kind: int, *, now: datetime) -> "QuerySet[Work]":
    at = floors.parameters(table_of(model), kind, now=now)["floor_at"]
    # As the index has it: a parameter in place of the 1 would be another expression.
    rows_of_kind = model.objects.alias(
        work_kind=RawSQL("LEAST(attempts, 1)", (), output_field=IntegerField())
    ).filter(work_kind=kind)
    return rows_of_kind.filter(available_at__lte=now, available_at__gte=at)


def put_back(
    model: type[Work], pk: int, *, now: datetime, error: BaseException, attempt: int | None = None
) -> None:
    """Records a failed attempt and makes the row due again after a backoff that doubles with each attempt.

    `attempt` is the number that the claim gave the row: one that was claimed again since is left alone. None
    means the row's latest attempt.
    """
    if attempt is None:
        attempt = model.objects.values_list("attempts", flat=True).get(pk=pk)
    delay = backoff(attempt)
    model.objects.filter(pk=pk, attempts=attempt, available_at__isnull=False).update(
        available_at=now + delay, last_error=f"{type(error).__name__}: {error}"[:500]
    )
    log.warning(
        "work_failed",
        table=table_of(model),
        row=pk,
        attempt=attempt,
        retry_in_s=int(delay.total_seconds()),
        exc_info=error,
    )


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many attempts: doubles with each, up to `BACKOFF_MAX_S`."""
    return timedelta(seconds=min(BACKOFF_BASE_S**attempts, BACKOFF_MAX_S))


def bury_exhausted(model: type[Work], *, now: datetime) -> list[int]:
    """Gives up the due rows that used all their attempts, alerts, and returns their ids.

    They stay for people to look at.
    """
    found = exhausted(model, now=now)
    ids = sorted(found.order_by("available_at").values_list("pk", flat=True)[:1000])
    buried = [pk for pk in ids if found.filter(pk=pk).update(available_at=None, dead_at=now)]
    for pk in buried:
        log.error("work_dead", table=table_of(model), row=pk, alert=True)
    return buried


def pick_up(row: Work, *, now: datetime, **changes: Any) -> None:
    """Makes a row that was given up due again, with all its attempts, and writes `changes` along with that.

    The caller holds the row's lock.

    Raises:
        WorkNotDead: it wasn't given up.
    """
    if row.dead_at is None:
        raise WorkNotDead
    changes |= {"available_at": now, "attempts": 0, "dead_at": None}
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=changes)


def drain(
    model: type[Work], effect: Callable[[Sequence[int]], None], *, now: datetime, batch_size: int
) -> int:
    """Claims due rows of `model` batch after batch, gives each to `effect`, and puts back alone what raised;
    returns how many it claimed.

    The leases are renewed while `effect` has the rows. Stops when nothing is due, or after `DRAIN_S` seconds,
    far from any time limit: the caller sends another wake-up then.
    """
    claimed = 0
    started = time.monotonic()
    moment = now
    are_fresh_left = True
    while True:
        batch = _claim_fresh(model, now=moment, limit=batch_size) if are_fresh_left else {}
        # What is committed after a batch that wasn't full has a wake-up of its own: another look would find
        # nothing, nearly always.
        are_fresh_left = len(batch) == batch_size
        batch = batch or _claim_failed(model, now=moment)
        if not batch:
            break
        claimed += len(batch)
        _do(model, effect, batch, now=moment)
        passed_s = time.monotonic() - started
        if passed_s >= DRAIN_S:
            break
        moment = now + timedelta(seconds=passed_s)
    return claimed


def _do(
    model: type[Work], effect: Callable[[Sequence[int]], None], batch: Mapping[int, int], *, now: datetime
) -> None:
    """`batch` is what was claimed at `now`, each row with the number of its attempt."""
    with (
        tracing.step(f"batch of {table_of(model)}", rows=len(batch)),
        leases.kept(model, batch, since=now) as drop,
    ):

        def give_back(pk: int, error: Exception) -> None:
            drop(pk)
            put_back(model, pk, now=now, error=error, attempt=batch[pk])

        run_split(list(batch), effect, give_back)


def run_split(
    ids: Sequence[int], effect: Callable[[Sequence[int]], None], on_error: Callable[[int, Exception], None]
) -> None:
    """Runs `effect` on all `ids` at once. If that raises, it runs on each half, and so on, until the failing
    row is alone and goes to `on_error`.

    `effect` is one transaction, so a failure has changed nothing.
    """
    if not ids:
        return
    try:
        effect(ids)
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not stop the other rows; it is noted on the row and logged
        if len(ids) == 1:
            on_error(ids[0], error)
            return
        middle = len(ids) // 2
        run_split(ids[:middle], effect, on_error)
        run_split(ids[middle:], effect, on_error)


def table_of(model: type[Work]) -> str:
    """The table's name, as logs and metrics call the kind of work."""
    return model._meta.db_table
