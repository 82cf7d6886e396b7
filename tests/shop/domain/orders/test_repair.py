"""Picking up work that was given up, and moving deadlines."""

from datetime import timedelta

import pytest

from payments.domain.trades import expiry
from shop.domain.ordering import creation
from shop.domain.orders import closing, repair
from shop.domain.work import due_rows
from shop.errors import CheckoutUsed, DeadlineNotMovable, WorkNotDead
from shop.models import Account, Order, OrderEvent, OrderRequest
from shop.states import OrderRequestStatus, OrderStatus
from tests.factories import NOW, decide, make_buyer, make_course, make_order, make_request
from tests.payments.order_scenario import assert_books_are_right, columns, timeline
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db

Kind = OrderEvent.Kind


def buried(request: OrderRequest) -> OrderRequest:
    OrderRequest.objects.filter(pk=request.pk).update(attempts=OrderRequest.MAX_ATTEMPTS, available_at=NOW)
    assert creation.give_up_requests(now=NOW) == 1
    request.refresh_from_db()
    assert (request.status, request.error_slug) == (OrderRequestStatus.REJECTED, "order_failed")
    return request


def test_request_that_was_given_up_becomes_an_order() -> None:
    request = buried(make_request(make_buyer(), make_course("30.00")))
    repair.pick_up_request(request.pk, now=NOW)
    assert columns(request, "status", "error_slug", "error_message", "attempts", "dead_at", "decided_at") == (
        OrderRequestStatus.PENDING, "", "", 0, None, None,
    )  # fmt: skip
    creation.create_due_orders(now=NOW, cause="test")
    assert Order.objects.get(request=request).status == OrderStatus.AWAITING_PAYMENT
    assert_books_are_right()


def test_refusal_by_a_rule_stays() -> None:
    request = make_request(make_buyer(), make_course("30.00"), alipay="1.00")
    decide(request)
    assert request.status == OrderRequestStatus.REJECTED
    with nothing_changes(), pytest.raises(WorkNotDead):
        repair.pick_up_request(request.pk, now=NOW)


def test_request_whose_checkout_became_another_order_stays() -> None:
    buyer, course = make_buyer(), make_course("30.00")
    request = buried(make_request(buyer, course))
    OrderRequest.objects.filter(pk=request.pk).update(checkout_id="C1")
    second = make_request(buyer, course)
    OrderRequest.objects.filter(pk=second.pk).update(checkout_id="C1")
    with nothing_changes(), pytest.raises(CheckoutUsed):
        repair.pick_up_request(request.pk, now=NOW)


def test_order_that_was_given_up_is_closed() -> None:
    order, staff = (
        make_order(make_buyer(beili=10), make_course("30.00"), beili=10, alipay="20.00"),
        make_buyer(),
    )
    Order.objects.filter(pk=order.pk).update(attempts=Order.MAX_ATTEMPTS, available_at=NOW)
    assert due_rows.bury_exhausted(Order, now=NOW) == [order.pk]
    repair.pick_up_order(order.pk, staff=staff, why="支付宝恢复了", now=NOW, cause="request:1")
    assert columns(order, "available_at", "attempts", "dead_at") == (NOW, 0, None)
    event = order.events.get(kind=Kind.PICKED_UP)
    assert event.details == {"what": "order", "staff": staff.username, "staff_note": "支付宝恢复了"}
    expiry.close_due_orders(gateways=None, now=NOW, cause="test")
    assert columns(order, "status") == (OrderStatus.EXPIRED,)
    assert_books_are_right()


def test_living_order_is_left_alone() -> None:
    order = make_order(make_buyer(), make_course("30.00"))
    with nothing_changes(), pytest.raises(WorkNotDead):
        repair.pick_up_order(
            order.pk, staff=Account.objects.get(pk=order.account_id), why="x", now=NOW, cause="test"
        )


def test_moved_deadline_is_in_the_timeline() -> None:
    order, staff = make_order(make_buyer(), make_course("30.00")), make_buyer()
    later = NOW + timedelta(days=1)
    repair.move_deadline(order.pk, expires_at=later, staff=staff, why="银行限额", now=NOW, cause="request:1")
    expires_at, closes_at, available_at, version = columns(
        order, "expires_at", "closes_at", "available_at", "version"
    )
    assert (expires_at, available_at, version) == (later, closes_at, order.version + 1)
    assert closes_at > later
    assert timeline(order)[-1] == Kind.DEADLINE_MOVED


@pytest.mark.parametrize("moved", [timedelta(0), timedelta(seconds=-1), timedelta(days=15, seconds=1)])
def test_invalid_deadline(moved: timedelta) -> None:
    order = make_order(make_buyer(), make_course("30.00"))
    with nothing_changes(), pytest.raises(DeadlineNotMovable):
        repair.move_deadline(
            order.pk, expires_at=NOW + moved, staff=make_buyer_of(order), why="x", now=NOW, cause="test"
        )


def test_deadline_of_an_order_that_is_being_cancelled_stays() -> None:
    order = make_order(make_buyer(), make_course("30.00"))
    closing.request_cancel(
        account_id=order.account_id, order_number=order.order_number, now=NOW, cause="test"
    )
    with nothing_changes(), pytest.raises(DeadlineNotMovable):
        repair.move_deadline(
            order.pk,
            expires_at=NOW + timedelta(days=1),
            staff=make_buyer_of(order),
            why="x",
            now=NOW,
            cause="test",
        )


def make_buyer_of(order: Order) -> Account:
    return Account.objects.get(pk=order.account_id)
