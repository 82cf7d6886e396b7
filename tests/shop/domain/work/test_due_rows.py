"""Rows as work: claims, leases, attempts, giving up."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from pytest_django import Settings

from shop.domain import floors
from shop.domain.work import due_rows
from shop.errors import WorkNotDead
from shop.models import OrderRequest
from tests.factories import NOW, make_buyer, make_course, make_request
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def requests() -> list[OrderRequest]:
    buyer, course = make_buyer(), make_course()
    return [make_request(buyer, course, now=NOW + timedelta(seconds=second)) for second in range(3)]


LATER = NOW + timedelta(seconds=10)


def test_claim_takes_the_oldest_due_rows_for_a_lease(
    requests: list[OrderRequest], settings: Settings
) -> None:
    assert list(due_rows.take(OrderRequest, now=LATER, limit=2)) == [requests[0].pk, requests[1].pk]
    requests[0].refresh_from_db()
    assert (requests[0].attempts, requests[0].available_at) == (
        1,
        LATER + timedelta(seconds=settings.WORK_LEASE_S),
    )
    assert list(due_rows.take(OrderRequest, now=LATER, limit=9)) == [requests[2].pk]
    assert list(due_rows.take(OrderRequest, now=LATER, limit=9)) == []


def test_claim_leaves_what_is_not_due_yet(requests: list[OrderRequest]) -> None:
    assert list(due_rows.take(OrderRequest, now=NOW - timedelta(seconds=1), limit=9)) == []
    assert not due_rows.has_due(OrderRequest, now=NOW - timedelta(seconds=1))
    assert due_rows.has_due(OrderRequest, now=NOW)


def test_rows_whose_worker_died_come_again_one_at_a_time(
    requests: list[OrderRequest], settings: Settings
) -> None:
    list(due_rows.take(OrderRequest, now=LATER, limit=9))
    after_lease = LATER + timedelta(seconds=settings.WORK_LEASE_S)
    assert [list(due_rows.take(OrderRequest, now=after_lease, limit=9)) for _ in range(4)] == [
        [row.pk] for row in requests
    ] + [[]]


def test_put_back_doubles_its_patience(requests: list[OrderRequest]) -> None:
    row = requests[0]
    delays = []
    for attempts in (1, 2, 7, 9):
        OrderRequest.objects.filter(pk=row.pk).update(attempts=attempts)
        due_rows.put_back(OrderRequest, row.pk, now=NOW, error=ValueError("x" * 600))
        row.refresh_from_db()
        assert row.available_at is not None
        delays.append((row.available_at - NOW).total_seconds())
    assert delays == [2, 4, 128, 300]
    assert row.last_error == f"ValueError: {'x' * 600}"[:500]


def test_put_back_leaves_a_finished_row_alone(requests: list[OrderRequest]) -> None:
    OrderRequest.objects.filter(pk=requests[0].pk).update(available_at=None)
    due_rows.put_back(OrderRequest, requests[0].pk, now=NOW, error=ValueError("late"))
    requests[0].refresh_from_db()
    assert (requests[0].available_at, requests[0].last_error) == (None, "")


def test_bury_gives_up_what_used_all_its_attempts(requests: list[OrderRequest]) -> None:
    OrderRequest.objects.filter(pk=requests[0].pk).update(attempts=OrderRequest.MAX_ATTEMPTS)
    OrderRequest.objects.filter(pk=requests[1].pk).update(
        attempts=OrderRequest.MAX_ATTEMPTS, available_at=LATER + timedelta(seconds=1)
    )
    OrderRequest.objects.filter(pk=requests[2].pk).update(attempts=OrderRequest.MAX_ATTEMPTS - 1)
    assert due_rows.bury_exhausted(OrderRequest, now=LATER) == [requests[0].pk]
    requests[0].refresh_from_db()
    assert (requests[0].available_at, requests[0].dead_at) == (None, LATER)
    assert due_rows.bury_exhausted(OrderRequest, now=LATER) == []


def test_pick_up_gives_a_buried_row_all_its_attempts_again(requests: list[OrderRequest]) -> None:
    OrderRequest.objects.filter(pk=requests[0].pk).update(attempts=OrderRequest.MAX_ATTEMPTS)
    due_rows.bury_exhausted(OrderRequest, now=LATER)
    requests[0].refresh_from_db()
    due_rows.pick_up(requests[0], now=LATER, last_error="")
    assert requests[0].pk in due_rows.take(OrderRequest, now=LATER, limit=9)
    requests[0].refresh_from_db()
    assert (requests[0].attempts, requests[0].dead_at, requests[0].last_error) == (1, None, "")


def test_pick_up_refuses_what_was_not_given_up(requests: list[OrderRequest]) -> None:
    with nothing_changes(), pytest.raises(WorkNotDead):
        due_rows.pick_up(requests[0], now=LATER, last_error="changed")


def test_exhausted_rows_are_not_claimed(requests: list[OrderRequest]) -> None:
    OrderRequest.objects.update(attempts=OrderRequest.MAX_ATTEMPTS)
    assert list(due_rows.take(OrderRequest, now=LATER, limit=9)) == []


def test_run_split_singles_out_what_raises() -> None:
    done: list[int] = []
    failed: list[tuple[int, str]] = []

    def effect(part: Sequence[int]) -> None:
        if 3 in part:
            raise ValueError(f"three in {len(part)}")
        done.extend(part)

    due_rows.run_split([1, 2, 3, 4, 5], effect, lambda pk, error: failed.append((pk, str(error))))
    assert (sorted(done), failed) == ([1, 2, 4, 5], [(3, "three in 1")])


def test_run_split_of_nothing_does_nothing() -> None:
    calls: list[object] = []
    due_rows.run_split([], calls.append, lambda pk, error: calls.append(pk))
    assert calls == []


def test_count_finds_what_a_look_would_overlook(requests: list[OrderRequest]) -> None:
    """A row that was made due in the past, below this process's floor."""
    floors._floors["shop_orderrequest", 0] = floors._Floor(
        place=(NOW + timedelta(seconds=1, milliseconds=500), 0)
    )
    assert due_rows.count_due(OrderRequest, now=LATER) == (3, NOW)
    OrderRequest.objects.filter(pk=requests[0].pk).update(attempts=1, available_at=NOW - timedelta(seconds=1))
    assert due_rows.count_due(OrderRequest, now=LATER) == (3, NOW - timedelta(seconds=1))
    assert due_rows.count_due(OrderRequest, now=NOW - timedelta(seconds=2)) == (0, None)
