"""Two workers on one backlog of requests, and one key in many requests."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection, transaction

from project.local.waiting import wait_until
from shop.domain.ordering import creation, intake
from shop.domain.purchase import LineChoice, Purchase
from shop.domain.work import due_rows
from shop.models import Account, LedgerTransfer, Order, OrderRequest, PricePolicy
from shop.models.work import Work
from shop.numbers import mint_number
from tests.invariants import check_invariants, query_django
from tests.races.crowd import PATIENCE_S, count_kinds, run_at_once

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

PILE = 200


@pytest.fixture
def pile(make_buyers: Callable[..., list[Account]], place: Callable[..., OrderRequest]) -> list[OrderRequest]:
    """200 requests of 10 buyers, each with 贝里."""
    buyers = make_buyers(10, beili=100)
    return [place(buyers[number % 10], f"key-{number}", beili=1) for number in range(PILE)]


def test_two_workers_create_each_order_of_a_pile_once(pile: list[OrderRequest], now: datetime) -> None:
    results = run_at_once([lambda: creation.create_due_orders(now=now, cause="race")] * 2)

    assert sum(result for result in results if isinstance(result, int)) == PILE
    assert sorted(Order.objects.values_list("order_number", flat=True)) == sorted(
        request.order_number for request in pile
    )
    assert OrderRequest.objects.filter(attempts=1).count() == PILE
    assert LedgerTransfer.objects.filter(key__startswith="hold:").count() == PILE
    check_invariants(query_django)


def test_control_claiming_without_a_lock_does_the_pile_twice(
    pile: list[OrderRequest], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same race with a claim that reads before it writes: both workers get every row."""
    both_have_read = threading.Barrier(2, timeout=PATIENCE_S)
    handled: list[int] = []

    def claim_naively(model: type[Work], *, now: datetime, limit: int) -> dict[int, int]:
        ids = list(
            model.objects.filter(available_at__lte=now, attempts=0)
            .order_by("pk")
            .values_list("pk", flat=True)[:limit]
        )
        both_have_read.wait()
        model.objects.filter(pk__in=ids).update(
            attempts=1, available_at=now + timedelta(seconds=settings.WORK_LEASE_S)
        )
        return dict.fromkeys(ids, 1)

    monkeypatch.setattr(due_rows, "_claim_fresh", claim_naively)
    monkeypatch.setattr(creation, "create_orders", lambda ids, *, now, cause: handled.extend(ids))  # noqa: PLW0108 - other arguments
    results = run_at_once([lambda: creation.create_due_orders(now=now, cause="race")] * 2)

    assert sum(result for result in results if isinstance(result, int)) > PILE
    assert len(handled) > len(set(handled))


def test_duplicate_wake_ups_for_the_same_rows_create_once(pile: list[OrderRequest], now: datetime) -> None:
    """Leases that expired too early: four workers have claimed the same 32 rows."""
    ids = [request.pk for request in pile[:32]]
    results = run_at_once([lambda: creation.create_orders(ids, now=now, cause="race")] * 4)

    assert count_kinds(results) == {"ok": 4}
    assert Order.objects.count() == 32
    check_invariants(query_django, is_idle=False)


def test_claimed_row_that_another_claim_looks_at_is_not_passed_over(
    pile: list[OrderRequest], now: datetime
) -> None:
    """A claim that comes a moment late locks rows that turn out to be claimed, and releases them at
    its end.
    """
    ids = [request.pk for request in pile[:3]]
    is_locked, is_over = threading.Event(), threading.Event()

    def look() -> None:
        with transaction.atomic():
            list(OrderRequest.objects.filter(pk=ids[0]).select_for_update())
            is_locked.set()
            wait_until(lambda: is_over.is_set() or is_anybody_waiting(), timeout_s=PATIENCE_S)

    def create() -> None:
        is_locked.wait(PATIENCE_S)
        try:
            creation.create_orders(ids, now=now, cause="race")
        finally:
            is_over.set()

    assert count_kinds(run_at_once([look, create])) == {"ok": 2}
    assert Order.objects.count() == len(ids)


def is_anybody_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND "
            "wait_event_type = 'Lock')"
        )
        return bool(cursor.fetchone()[0])


def test_one_key_in_twenty_requests_is_one_row(
    make_buyers: Callable[..., list[Account]], policy: PricePolicy, place: Callable[..., OrderRequest]
) -> None:
    [buyer] = make_buyers(1)
    results = run_at_once([lambda: place(buyer, "same-key")] * 20)

    assert count_kinds(results) == {"ok": 20}
    assert {result.order_number for result in results if isinstance(result, OrderRequest)} == {
        OrderRequest.objects.get().order_number
    }


def test_control_looking_for_the_key_first_stores_it_twenty_times(
    make_buyers: Callable[..., list[Account]], policy: PricePolicy, now: datetime
) -> None:
    """The same race with a lookup instead of the unique constraint, which the stored key is made to evade."""
    [buyer] = make_buyers(1)
    all_have_looked = threading.Barrier(20, timeout=PATIENCE_S)
    purchase = Purchase(
        lines=[LineChoice(policy.course_id, policy.pk, None)],
        coupon_record_id=None,
        beili=0,
        alipay=policy.price,
        checkout_id=None,
    )

    def place_naively() -> OrderRequest:
        known = OrderRequest.objects.filter(account=buyer, idempotency_key__startswith="same-key").first()
        all_have_looked.wait()
        if known is not None:
            return known
        number = mint_number(now)
        return intake.place_order(
            account=buyer, purchase=purchase, idempotency_key=f"same-key {number}", request_id="race", now=now
        )[0]

    results = run_at_once([place_naively] * 20)

    assert count_kinds(results) == {"ok": 20}
    assert OrderRequest.objects.count() == 20
