"""Leases last as long as their worker lives."""

import time
from collections.abc import Sequence
from datetime import timedelta

import pytest
from pytest_django import Settings

from project.local.waiting import wait_until
from shop import clock
from shop.domain.ordering import creation
from shop.domain.work import due_rows, leases
from shop.models import Order, OrderRequest
from tests.factories import make_buyer, make_course, make_request

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def short_lease(settings: Settings) -> None:
    settings.WORK_LEASE_S = 1


@pytest.fixture
def request_() -> OrderRequest:
    return make_request(make_buyer(), make_course(), now=clock.now())


def due(request: OrderRequest) -> list[int]:
    return list(due_rows.take(OrderRequest, now=clock.database_now(), limit=9))


def test_lease_is_renewed_while_the_rows_are_worked_on(request_: OrderRequest, settings: Settings) -> None:
    settings.WORK_LEASE_S = 3
    seen: list[list[int]] = []

    def effect(ids: Sequence[int]) -> None:
        until = time.monotonic() + 6
        while time.monotonic() < until:
            seen.append(due(request_))
            time.sleep(0.05)
        creation.create_orders(ids, now=clock.now(), cause="test")

    assert due_rows.drain(OrderRequest, effect, now=clock.database_now(), batch_size=1) == 1
    assert (len(seen) > 10, any(seen)) == (True, False)
    assert Order.objects.count() == 1
    request_.refresh_from_db()
    assert (request_.attempts, request_.available_at) == (1, None)


def test_control_without_renewal_another_claims_the_row(
    request_: OrderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "renew", lambda batch: 0)
    taken: list[int] = []

    def is_taken_by_another() -> bool:
        taken.extend(due(request_))
        return bool(taken)

    def effect(ids: Sequence[int]) -> None:
        assert wait_until(is_taken_by_another, timeout_s=5)

    due_rows.drain(OrderRequest, effect, now=clock.database_now(), batch_size=1)
    assert taken == [request_.pk]


def test_rows_of_a_killed_worker_are_free_after_a_lease(request_: OrderRequest) -> None:
    assert due(request_) == [request_.pk]  # and aren't renewed
    started = time.monotonic()
    assert wait_until(lambda: due(request_) == [request_.pk], timeout_s=5)
    assert 0.8 < time.monotonic() - started < 2


def test_late_worker_neither_finishes_nor_returns_anothers_row(
    request_: OrderRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hung for longer than its lease, and another worker has claimed the row; a third one must not."""
    monkeypatch.setattr(leases, "renew", lambda batch: 0)

    def hang(ids: Sequence[int]) -> None:
        assert wait_until(lambda: due(request_) == list(ids), timeout_s=5)
        raise TimeoutError("late")

    due_rows.drain(OrderRequest, hang, now=clock.database_now(), batch_size=1)
    request_.refresh_from_db()
    assert (request_.attempts, request_.last_error) == (2, "")
    assert request_.available_at is not None
    # the other's lease, not a backoff
    assert request_.available_at - clock.database_now() <= timedelta(seconds=1)


def test_late_workers_effect_is_refused(request_: OrderRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "renew", lambda batch: 0)

    def hang(ids: Sequence[int]) -> None:
        assert wait_until(lambda: due(request_) == list(ids), timeout_s=5)
        creation.create_orders(ids, now=clock.now(), cause="another")
        creation.create_orders(ids, now=clock.now(), cause="late")

    due_rows.drain(OrderRequest, hang, now=clock.database_now(), batch_size=1)
    assert Order.objects.count() == 1
    assert set(Order.objects.get().events.values_list("cause", flat=True)) == {"another"}


def test_only_ones_own_claims_are_renewed(request_: OrderRequest) -> None:
    since = clock.database_now()
    assert due(request_) == [request_.pk]
    own = leases._Batch(OrderRequest, {request_.pk: 1}, since)
    assert leases.renew(own) == 1
    OrderRequest.objects.update(attempts=2)  # another's claim
    assert leases.renew(own) == 0
    OrderRequest.objects.update(attempts=1, available_at=None)
    assert leases.renew(own) == 0


def test_renewal_survives_a_database_outage(request_: OrderRequest, caplog: pytest.LogCaptureFixture) -> None:
    since = clock.database_now()
    due(request_)
    OrderRequest.objects.update(available_at=since)

    class Gone:
        _meta = OrderRequest._meta
        attempts, model, claimed_at = {request_.pk: 1}, OrderRequest, 0.0
        since = "not a time"

    leases._keeper._renew([Gone()])  # type: ignore[list-item]
    assert "lease_not_renewed" in caplog.text
    with leases.kept(OrderRequest, {request_.pk: 1}, since=since):
        assert wait_until(OrderRequest.objects.filter(available_at__gt=since).exists, timeout_s=5)
