"""One mechanism for every row that is also a piece of work: claim with a lease, count attempts, back off, give up loudly.

A claim is its own short transaction, so an attempt counts even when the process is killed in the middle of it. The effect is a second
transaction which locks the row again, looks at its status, and clears `available_at` together with everything else that it writes.
Whoever comes late (a duplicate message, a lease that ran out too early) finds nothing to do.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection

from shop.domain.locks import due_rows
from shop.models.work import Work

log = structlog.get_logger(__name__)

BACKOFF_BASE_S = 2
BACKOFF_MAX_S = 300
DRAIN_S = 10


def claim(model: type[Work], *, now: datetime, limit: int) -> list[int]:
    """Takes up to `limit` due rows of `model` for `WORK_LEASE_S` seconds and returns their ids, oldest first.

    Rows that failed before (or whose worker died) come one at a time, so that a row which kills its worker can't take others along:
    its neighbours are done before it comes round again.
    """
    return _claim_fresh(model, now=now, limit=limit) or _claim_failed(model, now=now)


def _claim_fresh(model: type[Work], *, now: datetime, limit: int) -> list[int]:
    return _claim(model, now=now, limit=limit, condition="attempts = 0")


def _claim_failed(model: type[Work], *, now: datetime) -> list[int]:
    return _claim(model, now=now, limit=1, condition=f"attempts BETWEEN 1 AND {model.MAX_ATTEMPTS - 1}")


def _claim(model: type[Work], *, now: datetime, limit: int, condition: str) -> list[int]:
    table = connection.ops.quote_name(table_of(model))
    statement = f"""
        WITH due AS ({due_rows(table, condition)})
        UPDATE {table} AS work SET attempts = work.attempts + 1, available_at = %s FROM due WHERE work.id = due.id RETURNING work.id
    """  # noqa: S608 - table and condition are ours, never input
    with connection.cursor() as cursor:
        cursor.execute(statement, [now, limit, now + timedelta(seconds=settings.WORK_LEASE_S)])
        return sorted(row[0] for row in cursor.fetchall())


def has_due(model: type[Work], *, now: datetime) -> bool:
    """Whether a claim could take something now."""
    # Ordered, or a prepared plan that doesn't know `now` expects a due row on the first pages of the table, and reads all of it.
    return model.objects.filter(available_at__lte=now).order_by("available_at").values_list("pk").first() is not None


def put_back(model: type[Work], pk: int, *, now: datetime, error: BaseException) -> None:
    """Notes a failed attempt and makes the row due again after a backoff that doubles with each attempt."""
    row = model.objects.values_list("attempts", flat=True).get(pk=pk)
    delay = backoff(row)
    model.objects.filter(pk=pk, available_at__isnull=False).update(
        available_at=now + delay, last_error=f"{type(error).__name__}: {error}"[:500]
    )
    log.warning("work_failed", table=table_of(model), row=pk, attempt=row, retry_in_s=int(delay.total_seconds()), exc_info=error)


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many attempts: doubles with each, up to `BACKOFF_MAX_S`."""
    return timedelta(seconds=min(BACKOFF_BASE_S**attempts, BACKOFF_MAX_S))


def bury_exhausted(model: type[Work], *, now: datetime) -> list[int]:
    """Gives up the due rows that used all their attempts, alerts, and returns their ids. They stay for people to look at."""
    rows = model.objects.filter(available_at__lte=now, attempts__gte=model.MAX_ATTEMPTS)
    ids = sorted(rows.order_by("available_at").values_list("pk", flat=True)[:1000])
    buried = [pk for pk in ids if rows.filter(pk=pk).update(available_at=None, dead_at=now)]
    for pk in buried:
        log.error("work_dead", table=table_of(model), row=pk, alert=True)
    return buried


def drain(model: type[Work], effect: Callable[[Sequence[int]], None], *, now: datetime, batch_size: int) -> int:
    """Claims due rows of `model` batch after batch, gives each to `effect`, and puts back alone what raised; returns how many it claimed.

    Stops when nothing is due, or after `DRAIN_S` seconds, far from any time limit: the caller sends another wake-up then.
    """
    claimed = 0
    stop_at = time.monotonic() + DRAIN_S
    are_fresh_left = True
    while True:
        ids = _claim_fresh(model, now=now, limit=batch_size) if are_fresh_left else []
        # What is committed after a batch that wasn't full has a wake-up of its own: another look would find nothing, nearly always.
        are_fresh_left = len(ids) == batch_size
        ids = ids or _claim_failed(model, now=now)
        if not ids:
            break
        claimed += len(ids)
        run_split(ids, effect, lambda pk, error: put_back(model, pk, now=now, error=error))
        if time.monotonic() >= stop_at:
            break
    return claimed


def run_split(ids: Sequence[int], effect: Callable[[Sequence[int]], None], on_error: Callable[[int, Exception], None]) -> None:
    """Runs `effect` on all `ids` at once; where that raises, on each half, until the row that raises stands alone and goes to `on_error`.

    `effect` is one transaction, so what raised has changed nothing.
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
