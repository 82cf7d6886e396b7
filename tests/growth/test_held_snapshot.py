"""Scans for due rows while a session holds a snapshot open, so that PostgreSQL can't remove dead entries.

Counted in buffers, which don't depend on the machine, by EXPLAIN (ANALYZE, BUFFERS) of the shop's own
statements.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.db import connection

from payments.models import Notification, Payment, Refund
from shop import clock
from shop.domain import floors, sql
from shop.domain.work import due_rows
from shop.models import Order, OrderRequest, Work
from shop.models.work import FRESH
from tests.databases import open_session
from tests.factories import make_buyer

pytestmark = pytest.mark.django_db(transaction=True)

BATCH = 64
ROUNDS = 5
# This many orders taken in, each at its own time.
_TAKE_IN = """
    INSERT INTO shop_orderrequest (
        account_id, order_number, idempotency_key, fingerprint, body, status, request_id, created_at,
        available_at, attempts, last_error,
        error_slug, error_message, error_details
    )
    SELECT %s, 'N' || number, 'N' || number, '', '{}', 'pending', '', clock_timestamp(), clock_timestamp(), 0,
        '', '', '', '{}'
    FROM generate_series(%s::int, %s::int) AS number
"""
_DONE = (
    "UPDATE shop_orderrequest SET status = 'created', decided_at = now(), available_at = NULL "
    "WHERE id = ANY(%s)"
)


@contextmanager
def held_snapshot() -> Iterator[None]:
    """A forgotten session."""
    with open_session() as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.execute("SELECT count(*) FROM shop_orderrequest")
        yield


def buffers(deed: Callable[[], object]) -> int:
    """How many pages PostgreSQL touches for the statements of a function, which runs once, while it is
    explained.
    """
    touched = 0

    def explain(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal touched
        with psycopg.ClientCursor(connection.connection) as cursor:
            cursor.execute("BEGIN")
            explained: Any = cursor.execute(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params
            ).fetchone()
            plan = explained[0][0]["Plan"]
            cursor.execute("ROLLBACK")
        touched += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return run(sql, params, many, context)

    with connection.execute_wrapper(explain):
        deed()
    return touched


def take_in(account_id: int, round_: int, count: int) -> None:
    sql.write(_TAKE_IN, [account_id, round_ * count, (round_ + 1) * count - 1])
    time.sleep(floors.SLACK[FRESH].total_seconds())  # orders arrive steadily; these come all at once


def claim_and_finish() -> bool:
    ids = list(due_rows.take(OrderRequest, now=clock.database_now(), limit=BATCH))
    sql.write(_DONE, [ids])
    return bool(ids)


def look() -> int:
    return buffers(lambda: due_rows.has_due(OrderRequest, now=clock.database_now()))


def claim_failed() -> int:
    return buffers(lambda: due_rows._claim_failed(OrderRequest, now=clock.database_now()))


@dataclass(frozen=True)
class Touched:
    """Pages that PostgreSQL touched in one round: for a claim in its middle, and for scans at its end that
    found nothing.
    """

    claim: int
    first_look: int
    look: int
    failed: int


def flow(account_id: int, count: int) -> Iterator[Touched]:
    """Rounds of this many orders each."""
    for round_ in range(ROUNDS):
        take_in(account_id, round_, count)
        for _ in range(count // BATCH // 2):
            claim_and_finish()
        claim = buffers(claim_and_finish)
        while claim_and_finish():
            pass
        yield Touched(claim, look(), look(), claim_failed())


@pytest.mark.timeout(300)
def test_held_snapshot_makes_no_look_dearer() -> None:
    """The dead entries of a round are read once by the next scan, and not again."""
    account_id = make_buyer().pk
    with held_snapshot():
        rounds = list(flow(account_id, 100 * BATCH))
    assert OrderRequest.objects.filter(status="created").count() == ROUNDS * 100 * BATCH
    # The first round started without dead entries.
    assert rounds[-1].claim <= 1.5 * rounds[0].claim, rounds
    first, last = rounds[1], rounds[-1]
    assert last.claim <= 1.5 * first.claim, rounds
    assert max(round_.first_look for round_ in rounds) < first.claim, rounds
    # On a busy machine floors lag behind by a few pages; without floors it is hundreds.
    assert last.look <= max(1.5 * first.look, 64), rounds
    assert last.failed <= max(1.5 * first.failed, 64), rounds


def test_control_without_floors_every_round_makes_them_dearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floors, "_risen", lambda place, *args, **kwargs: place)
    account_id = make_buyer().pk
    with held_snapshot():
        rounds = list(flow(account_id, 100 * BATCH))
    first, last = rounds[0], rounds[-1]
    assert last.claim > 1.2 * first.claim, rounds
    assert last.look > 2 * first.look, rounds  # 408 pages, then 1,150


@pytest.mark.parametrize("model", [OrderRequest, Order, Payment, Notification, Refund])
def test_every_kind_of_work_looks_above_its_floor(model: type[Work]) -> None:
    """So does the statement that gives up exhausted rows.

    The count of due rows for the metrics starts at the beginning, since there may have been no sweep for
    long.
    """
    seen: list[str] = []

    def watch(run: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return run(sql, params, many, context)

    now = clock.database_now()
    with connection.execute_wrapper(watch):
        list(due_rows.take(model, now=now, limit=1))
        due_rows.has_due(model, now=now)
        due_rows.bury_exhausted(model, now=now)
    assert len(seen) == 5
    assert all('"available_at" >= ' in sql or "(available_at, id) >= " in sql for sql in seen)
