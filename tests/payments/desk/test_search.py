"""What an operator types, and where it is searched for."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.desk import search
from payments.models import Notification
from shop.models import Order
from tests.factories import make_buyer, make_course, make_order
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import pay

pytestmark = pytest.mark.django_db
ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def order() -> Order:
    order = make_order(make_buyer(), make_course("30.00"))
    pay(order, MemoryGateway(lambda: order.created_at), now=order.created_at)
    return order


def found_by(text: str) -> list[Order]:
    return [order for order, _way in search.find(text).orders]


@pytest.mark.parametrize(
    ("request_id", "typed"),
    [
        (ID, ID),
        (ID, f"request:{ID}"),
        ("1700000000.123", "request:1700000000.123"),
        ("web-1.1700000000", "web-1.1700000000"),
    ],
)
def test_orders_are_found_by_the_request_that_delivered_their_notification(
    order: Order, request_id: str, typed: str
) -> None:
    make_order(make_buyer(), make_course("30.00"))
    Notification.objects.update(request_id=request_id)
    assert found_by(typed) == [order]


@pytest.mark.parametrize("typed", ["13900001111", "2026112722", f"task:{ID}"])
def test_what_is_no_requests_id_is_not_searched_for_among_notifications(order: Order, typed: str) -> None:
    with CaptureQueriesContext(connection) as captured:
        search.find(typed)
    assert captured.captured_queries
    assert [query for query in captured.captured_queries if "payments_notification" in query["sql"]] == []


def test_only_the_newest_notifications_are_searched(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    Notification.objects.update(request_id=ID)
    monkeypatch.setattr(search, "NOTIFICATIONS_OF", 0)
    assert found_by(ID) == []
