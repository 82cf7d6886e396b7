"""No row is overlooked for good, however late its transaction commits and whatever its due time."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shop import clock
from shop.domain import floors, sql
from shop.domain.work import due_rows
from shop.models import OrderRequest
from shop.models.work import FRESH
from tests.databases import open_session
from tests.factories import make_buyer

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = "shop_orderrequest"
_TAKE_IN = """
    INSERT INTO shop_orderrequest (
        account_id, order_number, idempotency_key, fingerprint, body, status, request_id, created_at,
        available_at, attempts, last_error,
        error_slug, error_message, error_details
    )
    VALUES (%s, %s, %s, '', '{}', 'pending', '', now(), clock_timestamp() - %s, 0, '', '', '', '{}')
    RETURNING id
"""


def take_in(writer: psycopg.Connection, account_id: int, number: int, *, ago: timedelta = timedelta()) -> int:
    ((pk,),) = writer.execute(_TAKE_IN, [account_id, f"N{number}", f"N{number}", ago])
    return int(pk)


def finish(ids: list[int]) -> None:
    OrderRequest.objects.filter(pk__in=ids).update(
        status="created", decided_at=clock.now(), available_at=None
    )


@dataclass
class Process:
    """A worker process with its own floors."""

    remembered: dict[tuple[str, int], floors._Floor] = field(default_factory=dict)

    def claim(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        with monkeypatch.context() as patched:
            patched.setattr(floors, "_floors", self.remembered)
            claimed = list(due_rows.take(OrderRequest, now=clock.database_now(), limit=5))
        finish(claimed)
        return claimed

    @property
    def place(self) -> floors.Place:
        return self.remembered[TABLE, FRESH].place


@pytest.fixture(autouse=True)
def rises_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tightest floors: no slack, and raised after every claim."""
    monkeypatch.setattr(floors, "RISES_AFTER_ROWS", 0)
    monkeypatch.setattr(floors, "SLACK", dict.fromkeys(floors.SLACK, timedelta()))
    monkeypatch.setattr(floors, "CHECK_EVERY_S", 0.0)
    monkeypatch.setattr(floors, "CHECK_SHARE", float("inf"))
    monkeypatch.setattr(floors, "OVERDUE", timedelta())


# Steps: a transaction starts, the n-th open transaction commits, the n-th process claims, the sweep scans.
STEPS = st.lists(
    st.one_of(
        st.just(("begin", 0)),
        st.tuples(st.just("commit"), st.integers(0, 3)),
        st.tuples(st.just("claim"), st.integers(0, 2)),
        st.just(("sweep", 0)),
    ),
    min_size=5,
    max_size=40,
)


@given(steps=STEPS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_row_is_overlooked_in_any_order_of_commits(
    steps: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without slack each row that commits late is overlooked at first; the sweep's scan brings every process
    back to it.
    """
    floors.forget()
    OrderRequest.objects.all().delete()
    account_id = make_buyer().pk
    processes = [Process() for _ in range(3)]
    written, done = set(), []
    with open_session() as one, open_session() as two, open_session() as three, open_session() as four:
        writers = [one, two, three, four]
        open_: list[psycopg.Connection] = []
        for number, (deed, which) in enumerate(steps):
            if deed == "begin" and len(open_) < len(writers):
                writer = next(writer for writer in writers if writer not in open_)
                written.add(take_in(writer, account_id, number))
                open_.append(writer)
            elif deed == "commit" and which < len(open_):
                open_.pop(which).commit()
            elif deed == "claim":
                done += processes[which].claim(monkeypatch)
            elif deed == "sweep":
                floors.check_floor(OrderRequest, now=clock.database_now())
        for writer in open_:
            writer.commit()
    floors.check_floor(OrderRequest, now=clock.database_now())
    # Any process does the remaining work, even one that has overlooked all of it.
    while claimed := processes[0].claim(monkeypatch):
        done += claimed
    assert sorted(done) == sorted(written)  # each of them once


def test_late_commit_is_overlooked_until_the_sweep_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the property: without the sweep's scan the row would wait for ever."""
    account_id, process = make_buyer().pk, Process()
    with open_session() as slow, open_session() as quick:
        late = take_in(slow, account_id, 1)
        early = take_in(quick, account_id, 2)
        quick.commit()
        assert process.claim(monkeypatch) == [early]
        assert process.claim(monkeypatch) == []
        slow.commit()
    assert [process.claim(monkeypatch) for _ in range(3)] == [[], [], []]
    floors.check_floor(OrderRequest, now=clock.database_now())
    assert process.claim(monkeypatch) == [late]


def test_commit_within_the_slack_is_never_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floors, "SLACK", dict.fromkeys(floors.SLACK, timedelta(seconds=5)))
    account_id, process = make_buyer().pk, Process()
    with open_session() as slow, open_session() as quick:
        late = take_in(slow, account_id, 1)
        early = take_in(quick, account_id, 2)
        quick.commit()
        assert [process.claim(monkeypatch) for _ in range(3)] == [[early], [], []]
        slow.commit()
    assert process.claim(monkeypatch) == [late]


def test_row_made_due_in_the_past_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id, process = make_buyer().pk, Process()
    for _ in range(2):
        process.claim(monkeypatch)
    with open_session() as writer:
        old = take_in(writer, account_id, 1, ago=timedelta(hours=1))
    floors.check_floor(OrderRequest, now=clock.database_now())
    assert process.claim(monkeypatch) == [old]


def test_clock_that_has_gone_back_takes_the_floor_along(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id, process = make_buyer().pk, Process()
    with open_session() as writer:
        pk = take_in(writer, account_id, 1, ago=timedelta(hours=1))
    with monkeypatch.context() as patched:
        patched.setattr(floors, "_floors", process.remembered)
        for _ in range(2):
            due_rows.has_due(OrderRequest, now=clock.database_now() + timedelta(hours=2))
        assert list(due_rows.take(OrderRequest, now=clock.database_now(), limit=5)) == [pk]


def test_floor_stays_at_the_first_row_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    account_id, process = make_buyer().pk, Process()
    with open_session() as writer:
        ids = [take_in(writer, account_id, number) for number in range(12)]
    assert [process.claim(monkeypatch) for _ in range(2)] == [ids[:5], ids[5:10]]
    assert process.place[1] == ids[5]  # the first row that the second claim has seen
    assert process.claim(monkeypatch) == ids[10:]


def test_looks_from_the_beginning_take_a_hundredth_of_the_time_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(floors, "CHECK_SHARE", 0.01)
    read: Callable[..., object] = sql.read

    def slow(*args: object) -> object:
        time.sleep(0.01)
        return read(*args)

    monkeypatch.setattr(sql, "read", slow)
    before = time.monotonic()
    floors.check_floor(OrderRequest, now=clock.now())
    assert floors._next_checks[TABLE] - before > 100 * 0.02
    monkeypatch.setattr(sql, "read", lambda *args: pytest.fail("looked again"))
    floors.check_floor(OrderRequest, now=clock.now())
