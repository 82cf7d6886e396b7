"""What is answered about an order, held together with the serializers that describe it in the schema."""

import json
from typing import Any

import pytest
from django.urls import reverse
from rest_framework.renderers import JSONRenderer

from shop import clock
from shop.api.orderoutput import (
    AmountsOutput,
    ErrorOutput,
    EventOutput,
    LineOutput,
    OrderOutput,
    OrderSummaryOutput,
    RequestedLineOutput,
    RequestedOutput,
    order_body,
    order_summary,
    order_url,
    request_body,
)
from shop.api.polls import read_order
from shop.domain.wholeorder import find_whole_order
from shop.models import Order, OrderRequest
from tests.factories import make_buyer
from tests.orderlives import LIVES, make_pending, make_rejected

pytestmark = pytest.mark.django_db
LIVES_OF_ORDERS = sorted(set(LIVES) - {"pending", "rejected"})


def summary_row(order: Order) -> dict[str, Any]:
    names = ("order_number", "status", "payment_type", "created_at", "expires_at", "paid_at")
    own = {name: getattr(order, name) for name in names}
    return {**own, "amounts": order, "lines": order.lines.order_by("id"), "requested": None, "error": None}


def written(answer: Any) -> Any:
    return json.loads(JSONRenderer().render(answer))


@pytest.mark.parametrize("life", LIVES_OF_ORDERS)
def test_order_is_answered_as_the_serializers_describe_it(life: str) -> None:
    order = Order.objects.get(order_number=LIVES[life](make_buyer()))
    body = order_body(order, now=clock.now())
    assert list(body) == list(OrderOutput().fields)
    assert written(body["amounts"]) == written(AmountsOutput(order).data)
    assert written(body["lines"]) == written(LineOutput(order.lines.order_by("id"), many=True).data)
    assert written(body["timeline"]) == written(EventOutput(order.events.order_by("id"), many=True).data)
    assert written(order_summary(order, order.lines.order_by("id"))) == written(OrderSummaryOutput(summary_row(order)).data)


@pytest.mark.parametrize("life", LIVES_OF_ORDERS)
def test_order_read_in_one_statement_is_answered_as_one_read_by_the_orm(life: str) -> None:
    order = Order.objects.get(order_number=LIVES[life](make_buyer()))
    now = clock.now()
    answer = read_order(order.account_id, order.order_number, now)
    assert answer is not None
    assert (answer.account_id, answer.status, answer.version) == (order.account_id, order.status, order.version)
    assert answer.body == JSONRenderer().render(order_body(order, now=now)).decode()


def test_request_is_answered_as_the_serializers_describe_it() -> None:
    for make in (make_pending, make_rejected):
        request = OrderRequest.objects.get(order_number=make(make_buyer()))
        found = find_whole_order(account_id=request.account_id, order_number=request.order_number)
        assert found is not None
        body = request_body(request, found.requested)
        assert list(body["requested"]) == list(RequestedOutput().fields)
        assert [list(line) for line in body["requested"]["lines"]] == [list(RequestedLineOutput().fields)]
        assert list(body) == list(OrderOutput().fields)
        assert body["error"] is None or list(body["error"]) == list(ErrorOutput().fields)
        answer = read_order(request.account_id, request.order_number, clock.now())
        assert answer is not None
        assert (answer.account_id, answer.status, answer.version) == (request.account_id, request.status, 0)
        assert json.loads(answer.body) == written(body)


def test_orders_url_is_the_routers() -> None:
    assert order_url("20260302120000000ABC") == reverse("order", args=["20260302120000000ABC"])
