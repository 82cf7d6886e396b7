"""Orders by state: the counts are right after each fold, whatever happens to old orders."""

from datetime import timedelta

import pytest
from django.db.models import Count

from project.local.waiting import wait_until
from shop import clock
from shop.domain.measures import order_states
from shop.models import Measurement, Order, OrderEvent
from tests.databases import open_session
from tests.factories import make_buyer, make_course, make_order
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import approve, ask_refund, pay, send
from tests.shop.domain.measures.others import wait_for_others

EMPTY = {"awaiting_payment": 0, "paid": 0, "refunded": 0, "cancelled": 0, "expired": 0}


def place() -> Order:
    return make_order(make_buyer(), make_course("30.00"), now=clock.now())


def fold(times: int = 1, *, has_none_open: bool = True) -> int:
    """Returns how many the last fold counted. `has_none_open`: the test has no open transaction."""
    at = clock.database_now()
    went = 0
    for number in range(times):
        went = order_states.fold_order_states(now=at + timedelta(microseconds=number + 1))
        if has_none_open:
            wait_for_others()
    return went


def counted() -> dict[str, int]:
    return EMPTY | dict(Order.objects.values_list("status").annotate(Count("pk")))


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_states, "STRETCH", 2)


@pytest.mark.django_db(transaction=True)
def test_states_are_those_of_all_orders_after_each_fold() -> None:
    assert order_states.read_order_states() == EMPTY
    fold()
    assert order_states.read_order_states() == EMPTY
    gateway = MemoryGateway(clock.now)
    orders = [place() for _ in range(7)]
    fold()
    assert order_states.read_order_states() == EMPTY | {"awaiting_payment": 7} == counted()
    pay(orders[0], gateway, now=clock.now())
    pay(orders[6], gateway, now=clock.now())
    assert order_states.read_order_states() == EMPTY | {"awaiting_payment": 7}
    fold()
    assert order_states.read_order_states() == EMPTY | {"awaiting_payment": 5, "paid": 2} == counted()
    # Much later, the oldest order changes.
    fold(5)
    approve(ask_refund(orders[0], now=clock.now()), now=clock.now())
    send(gateway, now=clock.now())
    fold()
    assert order_states.read_order_states() == counted()
    assert counted()["refunded"] == 1


@pytest.mark.django_db(transaction=True)
def test_only_stretches_in_which_something_happened_are_counted() -> None:
    orders = [place() for _ in range(9)]
    fold(4)
    assert fold() == 0
    pay(orders[4], MemoryGateway(clock.now), now=clock.now())
    assert fold() == 1


@pytest.mark.django_db(transaction=True)
def test_change_that_commits_late_is_counted() -> None:
    """Its event's id is lower than those of committed events."""
    first = place()
    with open_session() as late:
        late.execute(
            "UPDATE shop_order SET status = 'cancelled', closed_at = now(), available_at = NULL "
            "WHERE id = %s",
            [first.pk],
        )
        late.execute(
            "INSERT INTO shop_orderevent (order_id, kind, at, cause, details) "
            "VALUES (%s, 'cancelled', now(), '', '{}')",
            [first.pk],
        )
        for _ in range(3):
            place()
            fold(2, has_none_open=False)
        assert order_states.read_order_states() == EMPTY | {"awaiting_payment": 4}
        late.commit()
    fold()
    assert order_states.read_order_states() == EMPTY | {"awaiting_payment": 3, "cancelled": 1} == counted()


@pytest.mark.django_db(transaction=True)
def test_long_history_is_counted_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        place()
    # Ids aren't reset between tests.
    first, last = (OrderEvent.objects.order_by(way).values_list("pk", flat=True)[0] for way in ("pk", "-pk"))
    monkeypatch.setattr(order_states, "FOLD_EVENTS", max((first + last) // 2, (last - first) // 2))
    seen: list[int] = []

    def is_all_counted() -> bool:
        fold()
        seen.append(order_states.read_order_states()["awaiting_payment"])
        return seen[-1] == 5

    # A fold proceeds once no transaction is open that began before the last fold, in any database of the
    # server.
    assert wait_until(is_all_counted, timeout_s=60)
    assert seen == sorted(seen)
    assert seen[0] < 5


@pytest.mark.django_db(transaction=True)
def test_two_folds_at_once_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    place()
    fold(2)
    place()
    kept = order_states._count

    def overtaken(number: int) -> dict[str, int]:
        monkeypatch.setattr(order_states, "_count", kept)
        assert fold() > 0
        return kept(number)

    monkeypatch.setattr(order_states, "_count", overtaken)
    assert order_states.fold_order_states(now=clock.database_now()) == 0
    assert order_states.read_order_states() == counted()


@pytest.mark.django_db(transaction=True)
def test_a_restored_dump_is_counted_on() -> None:
    """Another server has other transaction ids."""
    place()
    fold(2)
    found = Measurement.objects.get(name=order_states.NAME)
    Measurement.objects.update(value=found.value | {"next_xid": 2**60})
    place()
    fold()
    assert order_states.read_order_states() == counted()
