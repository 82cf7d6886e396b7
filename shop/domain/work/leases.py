"""Short leases, renewed by a thread while a process works on its claimed rows.

A killed process renews nothing, so its rows are free after `WORK_LEASE_S`. A hanging process loses them as
well: when it resumes, the rows are done or claimed by another process, and both its effect and its putting
back are refused.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from shop.domain import sql
from shop.domain.locks import leased_rows
from shop.models.work import Work

log = structlog.get_logger(__name__)

# Renewals per lease. One of them may fail.
RENEWALS = 3


@dataclass(eq=False, slots=True)
class _Batch:
    """Claimed rows, each with the number of its attempt, by which PostgreSQL knows whose claim it is."""

    model: type[Work]
    attempts: dict[int, int]
    # When they were claimed, by PostgreSQL's clock and by this process's own.
    since: datetime
    claimed_at: float = field(default_factory=time.monotonic)


@contextmanager
def kept(
    model: type[Work], attempts: Mapping[int, int], *, since: datetime
) -> Iterator[Callable[[int], object]]:
    """Renews the leases of these rows, claimed at `since`, until the block ends; yields a function that stops
    renewing one of them.
    """
    batch = _Batch(model, dict(attempts), since)
    _keeper.add(batch)
    try:
        yield lambda pk: batch.attempts.pop(pk, None)
    finally:
        _keeper.remove(batch)


def renew(batch: _Batch) -> int:
    """Extends the leases of the batch's rows that are still claimed by it; returns how many. Rows that
    another transaction is writing are skipped, since their locks keep others away.
    """
    attempts = dict(batch.attempts)
    passed = timedelta(seconds=time.monotonic() - batch.claimed_at)
    table = batch.model._meta.db_table
    return sql.write(
        f"UPDATE {table} SET available_at = %(until)s WHERE id IN ({leased_rows(table)})",  # noqa: S608 - the table is ours
        {
            "until": batch.since + passed + timedelta(seconds=settings.WORK_LEASE_S),
            "ids": list(attempts),
            "attempts": list(attempts.values()),
        },
    )


class _Keeper:
    """The thread that renews leases. It starts with the first claim, and has a connection only while there is
    something to renew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: list[_Batch] = []
        self._thread: threading.Thread | None = None

    def add(self, batch: _Batch) -> None:
        with self._lock:
            self._batches.append(batch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()

    def remove(self, batch: _Batch) -> None:
        with self._lock:
            self._batches.remove(batch)

    def _run(self) -> None:
        while True:
            pause = settings.WORK_LEASE_S / RENEWALS
            time.sleep(pause)
            with self._lock:
                # Rows claimed a moment ago have their whole lease ahead, and are nearly always done before
                # the next renewal.
                old = [batch for batch in self._batches if time.monotonic() - batch.claimed_at >= pause / 2]
            if old:
                self._renew(old)

    def _renew(self, batches: list[_Batch]) -> None:
        try:
            for batch in batches:
                renew(batch)
        except DatabaseError as error:
            log.warning("lease_not_renewed", error=str(error))
        except Exception:
            log.exception("lease_not_renewed")
        finally:
            connection.close()


_keeper = _Keeper()


def _begin_anew() -> None:
    """A forked process inherits no threads."""
    global _keeper  # noqa: PLW0603 - one for each process
    _keeper = _Keeper()


os.register_at_fork(after_in_child=_begin_anew)
