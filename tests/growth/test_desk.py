"""The desk's pages on large tables: few statements, each using an index."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from payments.admin import NotificationAdmin
from payments.desk import search
from payments.domain.refunds import requesting
from payments.models import Notification, Payment, Refund
from shop import clock
from shop.desk import readonly
from shop.models import Account, Course, Order, OrderEvent, OrderRequest
from tests.growth.test_plans import watched

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("history")]
MOST = 30
# An hour's figures count its rows by their ids. Here an hour has a large part of all rows, so reading all of
# them is right.
FIGURES = ("SELECT left(order_number, 10)",)


@pytest.fixture
def staff(history: None) -> Client:
    client = Client()
    client.force_login(Account.objects.create(username="operator", is_staff=True, is_superuser=True))
    return client


def pages() -> dict[str, str]:
    paid = Order.objects.filter(status="paid").order_by("pk")[0]
    requesting.request_refund(
        account_id=paid.account_id,
        order_number=paid.order_number,
        course_ids=None,
        reason="x",
        now=clock.now(),
        cause="test",
    )
    payment = Payment.objects.filter(order=paid).get()
    event = OrderEvent.objects.latest("pk")
    OrderEvent.objects.create(
        order=paid, kind="paid", at=clock.now(), cause="task:0123456789abcdef", details={}
    )
    found = {
        "dashboard": "/admin/",
        "days": "/admin/days/",
        "order": f"/admin/shop/order/{paid.pk}/change/",
        "buyer": f"/admin/shop/account/{paid.account_id}/change/",
        "payment": f"/admin/payments/payment/{payment.pk}/change/",
        "refund": f"/admin/payments/refund/{Refund.objects.get().pk}/change/",
        "notification": f"/admin/payments/notification/{Notification.objects.latest('pk').pk}/change/",
        "request": f"/admin/shop/orderrequest/{OrderRequest.objects.latest('pk').pk}/change/",
        "course": f"/admin/shop/course/{Course.objects.earliest('pk').pk}/change/",
        "deed": f"/admin/shop/order/{paid.pk}/deeds/refund/",
        "exports": "/admin/exports/",
    }
    words = {
        "start": paid.order_number[:12], "end": paid.order_number[-6:], "number": paid.order_number,
        "trade": str(payment.trade_no)[:10],
        "trade part": str(payment.trade_no)[-6:], "task": "task:0123456789abcdef",
        "cause": event.cause or "request:abcdefgh", "buyer": "bench-buyer",
        "mail": "nami@example.com", "phone": "13900001111", "course": Course.objects.earliest("pk").name,
    }  # fmt: skip
    found |= {f"search by {name}": f"/admin/search/?q={word}" for name, word in words.items()}
    lists = (
        "shop/order", "payments/payment", "payments/refund", "payments/notification", "shop/orderrequest",
        "shop/ledgertransfer", "shop/account",
        "shop/enrolment", "shop/couponrecord", "payments/bill", "payments/billdifference",
    )  # fmt: skip
    found |= {f"list of {one}": f"/admin/{one}/" for one in lists}
    found |= {
        f"dead {one}": f"/admin/{one}/?dead=yes"
        for one in ("shop/order", "payments/payment", "shop/orderrequest", "payments/refund", "payments/bill")
    }
    found["open differences"] = "/admin/payments/billdifference/?status__exact=open"
    found |= {
        f"lately {one}": f"/admin/{one}/?day=1h"
        for one in ("shop/order", "payments/payment", "shop/orderrequest", "shop/ledgertransfer")
    }
    return found


def test_pages_cost_few_statements_by_index(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    # The newest rows of a shop with a million are a small part of it.
    monkeypatch.setattr(search, "EVENTS_OF", 200)
    monkeypatch.setattr(search, "NOTIFICATIONS_OF", 50)
    monkeypatch.setattr(search, "PARTS_OF", 200)
    monkeypatch.setattr(readonly, "WINDOW", 200)
    monkeypatch.setattr(NotificationAdmin, "get_window", lambda self: 50)
    scanning: dict[str, Any] = {}
    counts: dict[str, int] = {}
    addresses = pages()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for name, address in addresses.items():
        with watched() as seen:
            answer = staff.get(address)
        assert answer.status_code in {200, 302}, (name, answer.status_code)
        with CaptureQueriesContext(connection) as captured:
            staff.get(address)
        counts[name] = len(captured)
        scanning |= {
            f"{name}: {sql}": tables for sql, tables in seen.items() if tables and not sql.startswith(FIGURES)
        }
    assert {name: count for name, count in counts.items() if count > MOST} == {}
    assert "\n".join(f"{tables} {sql}" for sql, tables in scanning.items()) == ""
