"""Complete orders, equal to what the ORM reads."""

from typing import Any

import pytest
from django.db.models import Model

from shop.domain.polling.order_view import OrderHistory, find_whole_order
from shop.models import Order, OrderRequest
from tests.factories import make_buyer, make_course, make_order
from tests.orderlives import LIVES, make_paid, make_pending, make_rejected, make_waiting

pytestmark = pytest.mark.django_db


def columns(row: Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.mark.parametrize("life", sorted(set(LIVES) - {"pending", "rejected"}))
def test_order_with_lines_and_events(life: str, django_assert_num_queries: Any) -> None:
    order = Order.objects.get(order_number=LIVES[life](make_buyer()))
    with django_assert_num_queries(1):
        found = find_whole_order(account_id=order.account_id, order_number=order.order_number)
        assert found is not None
        assert found.order is not None
        read = columns(found.order), [columns(line) for line in found.lines]
        events = [(event.pk, event.kind, event.at, event.details) for event in found.events]
    assert read == (columns(order), [columns(line) for line in order.lines.order_by("id")])
    assert events == list(order.events.order_by("id").values_list("pk", "kind", "at", "details"))


def test_request_without_an_order() -> None:
    for make in (make_pending, make_rejected):
        request = OrderRequest.objects.get(order_number=make(make_buyer()))
        found = find_whole_order(account_id=request.account_id, order_number=request.order_number)
        assert found is not None
        assert (found.order, found.lines, found.events) == (None, [], [])
        for name in ("order_number", "status", "created_at", "error_slug", "error_message", "error_details"):
            assert getattr(found.request, name) == getattr(request, name)


def test_another_buyers_order_is_not_found() -> None:
    number, other = make_waiting(make_buyer()), make_buyer()
    assert find_whole_order(account_id=other.pk, order_number=number) is None
    assert find_whole_order(account_id=other.pk, order_number="NONE") is None


def test_history_is_newest_first_by_status() -> None:
    buyer = make_buyer()
    waiting, paid = (Order.objects.get(order_number=make(buyer)) for make in (make_waiting, make_paid))
    make_order(make_buyer(), make_course())
    everything, only_paid = (
        OrderHistory(account_id=buyer.pk),
        OrderHistory(account_id=buyer.pk, status="paid"),
    )
    assert (everything.count(), only_paid.count()) == (2, 1)
    assert [listed.order for listed in everything[0:20]] == [paid, waiting]
    assert [listed.order for listed in only_paid[0:20]] == [paid]
    assert [listed.order for listed in everything[1:2]] == [waiting]
    assert everything[2:4] == []


def test_history_reads_orders_whole(django_assert_num_queries: Any) -> None:
    buyer = make_buyer()
    order = Order.objects.get(order_number=make_waiting(buyer))
    with django_assert_num_queries(1):
        [listed] = OrderHistory(account_id=buyer.pk)[0:1]
        assert listed.order is not None
        read = columns(listed.order), [columns(line) for line in listed.lines]
    assert read == (columns(order), [columns(line) for line in order.lines.order_by("id")])
