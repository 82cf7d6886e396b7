"""Access granted by staff is an ordinary order at ¥0."""

from datetime import timedelta

import pytest

from shop.api.orderoutput import order_body
from shop.domain.orders import granting
from shop.errors import AccessTooLong, CourseNotFound
from shop.models import Account, Course, Enrolment, Order, OrderEvent
from shop.states import OrderStatus
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.payments.order_scenario import assert_books_are_right
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


def grant(buyer: Account, course: Course, staff: Account, *, days: int = 30, token: str = "t1") -> Order:
    return granting.grant_access(
        account_id=buyer.pk,
        course_id=course.pk,
        days=days,
        token=token,
        staff=staff,
        why="补偿",
        now=NOW,
        cause="request:r1",
    )


def test_course_is_open_and_the_books_are_right() -> None:
    buyer, course, staff = make_buyer(), make_course("99.00"), make_buyer()
    order = Order.objects.get(pk=grant(buyer, course, staff).pk)
    enrolment = Enrolment.objects.get(account=buyer)
    assert (order.status, order.cash_due, order.list_total) == (OrderStatus.PAID, 0, 0)
    assert (enrolment.course_id, enrolment.valid_from, enrolment.valid_until) == (
        course.pk,
        NOW,
        NOW + timedelta(days=30),
    )
    placed = order.events.get(kind=OrderEvent.Kind.PLACED)
    assert (placed.cause, placed.details["staff"], placed.details["staff_note"]) == (
        "request:r1",
        staff.username,
        "补偿",
    )
    assert_books_are_right()


def test_buyer_sees_neither_staff_nor_reason() -> None:
    buyer = make_buyer()
    order = grant(buyer, make_course("99.00"), make_buyer(username="secret-operator"))
    body = str(order_body(Order.objects.get(pk=order.pk), now=NOW))
    assert "secret-operator" not in body
    assert "补偿" not in body
    assert "订单已创建" in body


def test_access_that_is_there_is_extended_from_its_end() -> None:
    buyer, course, staff = make_buyer(), make_course("0.00"), make_buyer()
    make_order(buyer, course)
    grant(buyer, course, staff, days=10)
    first, second = Enrolment.objects.filter(account=buyer).order_by("id")
    assert (second.valid_from, second.valid_until) == (
        first.valid_until,
        first.valid_until + timedelta(days=10),
    )
    assert_books_are_right()


def test_same_form_twice_is_one_grant() -> None:
    buyer, course, staff = make_buyer(), make_course("99.00"), make_buyer()
    first = grant(buyer, course, staff)
    with nothing_changes():
        assert grant(buyer, course, staff).pk == first.pk
    grant(buyer, course, staff, token="t2")
    assert Enrolment.objects.count() == 2


def test_too_long_and_nothing() -> None:
    buyer, course, staff = make_buyer(), make_course("99.00"), make_buyer()
    grant(buyer, course, staff, days=3650)
    with nothing_changes(), pytest.raises(AccessTooLong):
        grant(buyer, course, staff, days=1, token="t2")
    with nothing_changes(), pytest.raises(CourseNotFound):
        granting.grant_access(
            account_id=buyer.pk, course_id=0, days=1, token="t3", staff=staff, why="x", now=NOW, cause="test"
        )
