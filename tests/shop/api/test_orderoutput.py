"""The response for an order: the values of its rows in the form that `OrderOutput` defines."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.urls import reverse
from django.utils import timezone

from shop import clock
from shop.api.orderoutput import (
    AmountsOutput,
    OrderSummaryOutput,
    order_body,
    order_summary,
    order_url,
    request_body,
)
from shop.api.polls import read_order
from shop.api.wire import Output, as_builtins, written
from shop.domain.polling.order_view import find_whole_order
from shop.models import Order, OrderLine, OrderRequest
from tests.factories import make_buyer
from tests.orderlives import LIVES, make_pending, make_rejected

pytestmark = pytest.mark.django_db
LIVES_OF_ORDERS = sorted(set(LIVES) - {"pending", "rejected"})


def in_its_own_form(output: Output) -> bool:
    """Whether the response matches the definition: every field is present, with its type and pattern."""
    return bool(msgspec.json.decode(written(output), type=type(output)) == output)


def values_of(line: OrderLine) -> dict[str, Any]:
    names = (
        "course_id",
        "course_name",
        "course_img",
        "policy_id",
        "valid_period",
        "valid_period_display",
        "coupon_record_id",
    )
    amounts = ("list_price", "course_discount", "global_discount", "beili_amount", "cash_amount")
    return {name: getattr(line, name) for name in names} | {
        name: f"{getattr(line, name):.2f}" for name in amounts
    }


@pytest.mark.parametrize("life", LIVES_OF_ORDERS)
def test_order_is_answered_by_its_rows(life: str) -> None:
    order = Order.objects.get(order_number=LIVES[life](make_buyer()))
    body = order_body(order, now=clock.now())
    assert in_its_own_form(body)
    assert body.amounts == AmountsOutput(
        list_total=f"{order.list_total:.2f}",
        course_discount=f"{order.course_discount:.2f}",
        global_discount=f"{order.global_discount:.2f}",
        beili=order.beili,
        beili_amount=f"{order.beili_amount:.2f}",
        alipay=f"{order.cash_due:.2f}",
        refunded=f"{order.refunded_amount:.2f}",
    )
    lines = order.lines.order_by("id")
    assert [as_builtins(line) for line in body.lines] == [values_of(line) for line in lines]
    assert [as_builtins(event) for event in body.timeline] == [
        {
            "kind": event.kind,
            "text": event.get_kind_display(),
            "at": timezone.localtime(event.at).isoformat(timespec="seconds"),
            "details": {
                name: timezone.localtime(datetime.fromisoformat(value)).isoformat()
                if name == "valid_until"
                else value
                for name, value in event.details.items()
            },
        }
        for event in order.events.order_by("id")
    ]
    listed = order_summary(order, list(lines))
    assert in_its_own_form(listed)
    shared = OrderSummaryOutput.__struct_fields__
    assert as_builtins(listed) == {name: value for name, value in as_builtins(body).items() if name in shared}


@pytest.mark.parametrize("life", LIVES_OF_ORDERS)
def test_order_read_in_one_statement_is_answered_as_one_read_by_the_orm(life: str) -> None:
    order = Order.objects.get(order_number=LIVES[life](make_buyer()))
    now = clock.now()
    answer = read_order(order.account_id, order.order_number, now)
    assert answer is not None
    assert (answer.account_id, answer.status, answer.version) == (
        order.account_id,
        order.status,
        order.version,
    )
    assert answer.body == written(order_body(order, now=now)).decode()


def test_request_is_answered_by_what_was_asked_for() -> None:
    for make in (make_pending, make_rejected):
        request = OrderRequest.objects.get(order_number=make(make_buyer()))
        found = find_whole_order(account_id=request.account_id, order_number=request.order_number)
        assert found is not None
        assert found.purchase is not None
        body = request_body(request, found.purchase, found.requested)
        assert in_its_own_form(body)
        assert body.requested is not None
        assert (body.requested.alipay, body.requested.beili) == (
            f"{Decimal(request.body['alipay']):.2f}",
            request.body["beili"],
        )
        assert [line.course_id for line in body.requested.lines] == [
            line[0] for line in request.body["lines"]
        ]
        assert (body.error is None) == (request.status == "pending")
        answer = read_order(request.account_id, request.order_number, clock.now())
        assert answer is not None
        assert (answer.account_id, answer.status, answer.version) == (request.account_id, request.status, 0)
        assert answer.body == written(body).decode()


def test_answer_that_is_not_in_its_form_is_found_out() -> None:
    """The control of the tests above."""
    order = Order.objects.get(order_number=LIVES[LIVES_OF_ORDERS[0]](make_buyer()))
    body = order_body(order, now=clock.now())
    assert body.amounts is not None
    with pytest.raises(msgspec.ValidationError, match="list_total"):
        in_its_own_form(
            msgspec.structs.replace(body, amounts=msgspec.structs.replace(body.amounts, list_total="1.5"))
        )
    with pytest.raises(msgspec.ValidationError, match="created_at"):
        in_its_own_form(msgspec.structs.replace(body, created_at=None))


def test_orders_url_is_the_routers() -> None:
    assert order_url("20260302120000000ABC") == reverse("order", args=["20260302120000000ABC"])
