"""Courses that a buyer owns or is about to pay for aren't bought twice by mistake or extended without
limit.
"""

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from shop.domain.checkout import checkouts
from shop.domain.checkout.cart import list_cart
from shop.domain.orders import closing
from shop.models import Account, Course, Enrolment, Order, OrderRequest
from tests.factories import (
    NOW,
    decide,
    finalise,
    make_buyer,
    make_course,
    make_order,
    make_paid_order,
    make_request,
)
from tests.shop.domain.checkout.test_cart import add
from tests.shop.domain.ordering.test_creation import refusal_of

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def ask(buyer: Account, *courses: Course, buy_again: bool = False, **choices: Any) -> OrderRequest:
    return make_request(buyer, *courses, buy_again=buy_again, **choices)


def test_course_in_an_unpaid_order_is_refused_with_its_number() -> None:
    buyer, course, other = make_buyer(), make_course("9.00"), make_course("9.00")
    waiting = make_order(buyer, course)
    assert refusal_of(ask(buyer, other, course)) == (
        "course_in_unpaid_order",
        {"course_id": course.pk, "order_number": waiting.order_number},
    )


def test_two_requests_of_one_batch_make_one_order() -> None:
    buyer, course = make_buyer(), make_course("9.00")
    first, second = ask(buyer, course), ask(buyer, course)
    decide(first, second)
    assert (first.status, second.status, second.error_slug) == (
        "created",
        "rejected",
        "course_in_unpaid_order",
    )
    assert second.error_details == {"course_id": course.pk, "order_number": first.order_number}
    assert Order.objects.count() == 1


def test_newest_of_several_unpaid_orders_is_named() -> None:
    buyer, course = make_buyer(), make_course("9.00")
    make_order(buyer, course)
    newest = make_order(buyer, course, now=NOW + timedelta(minutes=1))
    assert refusal_of(ask(buyer, course))[1]["order_number"] == newest.order_number


def test_buyer_may_confirm_buying_again() -> None:
    buyer, course = make_buyer(), make_course("9.00")
    first, second = ask(buyer, course, buy_again=True), ask(buyer, course, buy_again=True)
    decide(first, second)
    assert [first.status, second.status, Order.objects.count()] == ["created", "created", 2]


@pytest.mark.parametrize("end", ["paid", "cancelling", "closed"])
def test_order_that_awaits_no_payment_blocks_no_purchase(end: str) -> None:
    buyer, course = make_buyer(), make_course("9.00")
    order = make_order(buyer, course)
    if end == "paid":
        finalise(order)
    else:
        closing.request_cancel(account_id=buyer.pk, order_number=order.order_number, now=NOW, cause="test")
    if end == "closed":
        order.refresh_from_db()
        with transaction.atomic():
            closing.close_orders([order], now=NOW, cause="test")
    decide(request := ask(buyer, course))
    assert request.status == "created"


def test_another_buyers_unpaid_order_blocks_no_purchase() -> None:
    course = make_course("9.00")
    make_order(make_buyer(), course)
    decide(request := ask(make_buyer(), course))
    assert request.status == "created"


def test_cart_and_checkout_name_the_unpaid_order() -> None:
    buyer, course, other = make_buyer(), make_course("9.00"), make_course("9.00")
    waiting = make_order(buyer, course)
    add(buyer, course)
    add(buyer, other)
    flags = {
        line.course: (list(line.flags), line.unpaid_order_number)
        for line in list_cart(account=buyer, now=NOW)
    }
    assert flags == {course: (["in_unpaid_order"], waiting.order_number), other: ([], None)}
    started = checkouts.start_checkout(account=buyer, course_ids=[course.pk, other.pk], now=NOW)
    checkouts.prepare_checkouts([started.checkout_id], now=NOW)
    snapshot = checkouts.get_checkout(account_id=buyer.pk, checkout_id=started.checkout_id).snapshot
    assert snapshot is not None
    unpaid = {entry.course_id: entry.unpaid_order_number for entry in snapshot.courses}
    assert unpaid == {course.pk: waiting.order_number, other.pk: None}


def test_free_course_is_renewed_once_and_not_again_while_it_lasts() -> None:
    buyer, course = make_buyer(), make_course("0.00", period=30)
    make_order(buyer, course)
    make_order(buyer, course)
    assert refusal_of(ask(buyer, course)) == ("free_course_owned", {"course_id": course.pk, "days_left": 60})
    later = ask(buyer, course)
    decide(later, now=NOW + 31 * DAY)
    assert later.status == "created"


def test_free_course_in_one_batch_is_not_piled_up() -> None:
    buyer, course = make_buyer(), make_course("0.00", period=30)
    requests = [ask(buyer, course, buy_again=True) for _ in range(5)]
    decide(*requests)
    assert [request.error_slug for request in requests] == ["", "", *["free_course_owned"] * 3]


def test_free_course_of_unpaid_orders_is_not_piled_up() -> None:
    buyer, free = make_buyer(), make_course("0.00", period=30)
    for _ in range(2):
        make_order(buyer, free, make_course("9.00"))
    assert refusal_of(ask(buyer, free, make_course("9.00"), buy_again=True))[0] == "free_course_owned"


def test_access_of_more_than_ten_years_is_refused_before_it_is_paid() -> None:
    buyer, course = make_buyer(), make_course("9.00", period=720)
    for _ in range(4):
        make_paid_order(buyer, course)
    decide(last := ask(buyer, course, buy_again=True))
    assert last.status == "created"
    details = {"course_id": course.pk, "days_left": 3600, "limit_days": 3650}
    assert refusal_of(ask(buyer, course, buy_again=True)) == ("access_too_long", details)
    finalise(Order.objects.get(request=last))
    assert refusal_of(ask(buyer, course)) == ("access_too_long", details)
    ends = Enrolment.objects.filter(account=buyer).latest("valid_until").valid_until
    assert ends == NOW + 3600 * DAY
