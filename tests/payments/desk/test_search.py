"""What an operator types, and where it is searched for."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from payments.desk import search
from payments.models import Notification, Payment
from shop.models import Account, Order, OrderEvent
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


def test_page_finds_what_it_says(order: Order, client: Client) -> None:
    client.force_login(Account.objects.create(username="operator", is_staff=True, is_superuser=True))
    payment = Payment.objects.get(order=order)
    OrderEvent.objects.create(order=order, kind="paid", at=order.created_at, cause=f"task:{ID}", details={})
    Account.objects.filter(pk=order.account_id).update(phone="13900001111", email="nami@example.com")
    account = Account.objects.get(pk=order.account_id)
    other = make_order(make_buyer(), make_course("30.00"))
    assert (
        client.get("/admin/search/", {"q": payment.out_trade_no})["Location"]
        == f"/admin/shop/order/{order.pk}/change/"
    )
    for text in (
        order.order_number[:20], order.order_number[-8:], order.order_number[9:24].lower(),
        str(payment.trade_no), ID, f"task:{ID}", account.username, "NAMI@exam", "1390000",
    ):  # fmt: skip
        found = client.get("/admin/search/", {"q": text}).context["found"]
        assert order.pk in [one.pk for one, _way in found.orders], text
    for text in (str(payment.trade_no), ID, "1390000"):
        found = client.get("/admin/search/", {"q": text}).context["found"]
        assert other.pk not in [one.pk for one, _way in found.orders], text
    assert client.get("/admin/search/", {"q": "' OR 1=1 --"}).status_code == 200
    assert client.get("/admin/search/", {"q": "无此人"}).context["found"].orders == []
