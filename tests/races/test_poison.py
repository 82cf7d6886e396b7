"""A row that can't be processed must not hold up others or be retried for ever."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection

from shop.domain.ordering import creation
from shop.domain.work import due_rows
from shop.models import Account, Order, OrderRequest
from shop.states import OrderRequestStatus
from tests.invariants import check_invariants, query_django

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

GOOD = 10


@pytest.fixture
def poison(make_buyers: Callable[..., list[Account]], place: Callable[..., OrderRequest]) -> OrderRequest:
    """The sixth of eleven requests by different buyers; its body is invalid."""
    requests = [
        place(buyer, f"key-{number}", beili=1) for number, buyer in enumerate(make_buyers(GOOD + 1, beili=5))
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            """UPDATE shop_orderrequest SET body = '{"lines": 7}' WHERE id = %s""", [requests[5].pk]
        )
    return requests[5]


def test_poisoned_request_ends_dead_and_its_neighbours_are_created_at_once(
    poison: OrderRequest, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    assert creation.create_due_orders(now=now, cause="test") == GOOD + 1
    assert Order.objects.count() == GOOD
    poison.refresh_from_db()
    assert (poison.status, poison.attempts, poison.dead_at) == (OrderRequestStatus.PENDING, 1, None)
    assert poison.last_error.startswith("TypeError")

    waits = []
    for attempt in range(2, OrderRequest.MAX_ATTEMPTS + 1):
        assert poison.available_at is not None
        waits.append((poison.available_at - now).total_seconds())
        assert (
            creation.create_due_orders(now=poison.available_at - timedelta(milliseconds=1), cause="test") == 0
        )
        now = poison.available_at
        assert creation.give_up_requests(now=now) == 0
        assert creation.create_due_orders(now=now, cause="test") == 1
        poison.refresh_from_db()
        assert poison.attempts == attempt
    assert waits == [2, 4, 8, 16, 32, 64, 128]

    assert poison.available_at is not None
    now = poison.available_at
    assert creation.create_due_orders(now=now, cause="test") == 0
    assert creation.give_up_requests(now=now) == 1
    buried = OrderRequest.objects.get(pk=poison.pk)
    assert (buried.status, buried.error_slug, buried.available_at, buried.dead_at) == (
        OrderRequestStatus.REJECTED,
        "order_failed",
        None,
        now,
    )
    assert "work_dead" in caplog.text
    assert "alert" in caplog.text
    assert creation.give_up_requests(now=now + timedelta(days=1)) == 0
    check_invariants(query_django, except_for=["an order request waits or was given up"])


def test_request_whose_worker_dies_each_time_ends_dead_too(poison: OrderRequest, now: datetime) -> None:
    """A killed worker records nothing; only the claim counts."""
    for _ in range(OrderRequest.MAX_ATTEMPTS):
        claimed = list(due_rows.take(OrderRequest, now=now, limit=32))
        assert poison.pk in claimed
        creation.create_orders([pk for pk in claimed if pk != poison.pk], now=now, cause="test")
        assert list(due_rows.take(OrderRequest, now=now, limit=32)) == []
        now += timedelta(seconds=settings.WORK_LEASE_S)
    assert Order.objects.count() == GOOD
    assert creation.give_up_requests(now=now) == 1
    poison.refresh_from_db()
    assert (poison.status, poison.error_slug, poison.attempts) == (
        OrderRequestStatus.REJECTED,
        "order_failed",
        OrderRequest.MAX_ATTEMPTS,
    )


def test_good_requests_come_before_one_that_failed(
    poison: OrderRequest,
    now: datetime,
    make_buyers: Callable[..., list[Account]],
    place: Callable[..., OrderRequest],
) -> None:
    creation.create_due_orders(now=now, cause="test")
    poison.refresh_from_db()
    assert poison.available_at is not None
    late = place(Account.objects.order_by("pk")[0], "late")
    assert list(due_rows.take(OrderRequest, now=poison.available_at, limit=32)) == [late.pk]
    assert list(due_rows.take(OrderRequest, now=poison.available_at, limit=32)) == [poison.pk]
