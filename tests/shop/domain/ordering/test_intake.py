"""Accepting orders."""

from dataclasses import replace
from decimal import Decimal

import pytest

from shop.domain.checkout.checkouts import prepare_checkouts, start_checkout
from shop.domain.ordering import intake
from shop.domain.ordering.intake import place_order
from shop.domain.orders import finding
from shop.domain.purchase import LineChoice, Purchase
from shop.errors import (
    CheckoutExpired,
    CheckoutMismatch,
    CheckoutUsed,
    IdempotencyKeyReused,
    OrderNotFound,
    StaleState,
)
from shop.models import Account, Course
from shop.states import OrderRequestStatus
from tests.factories import (
    NOW,
    decide,
    make_buyer,
    make_course,
    make_order,
    make_policy,
    make_purchase,
    make_request,
    policy_of,
)
from tests.shop.domain.checkout.test_cart import add
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


def checked_out(buyer: Account, *courses: Course) -> str:
    """A ready checkout of these courses."""
    for course in courses:
        add(buyer, course)
    checkout = start_checkout(account=buyer, course_ids=[course.pk for course in courses], now=NOW)
    prepare_checkouts([checkout.checkout_id], now=NOW)
    return checkout.checkout_id


def test_place_order_stores_the_request_and_takes_nothing() -> None:
    buyer, course = make_buyer(beili=10), make_course("99.00")
    purchase = make_purchase(course, beili=5, alipay="94.00", buy_again=False)
    request, is_new = place_order(
        account=buyer, purchase=purchase, idempotency_key="k", request_id="r1", now=NOW
    )
    request.refresh_from_db()
    buyer.refresh_from_db()
    assert is_new is True
    assert (request.status, request.available_at, request.attempts, request.request_id) == (
        "pending",
        NOW,
        0,
        "r1",
    )
    assert request.body == {
        "lines": [[course.pk, policy_of(course).pk, None]],
        "coupon_record_id": None,
        "beili": 5,
        "alipay": "94.00",
        "checkout_id": None,
        "prices_seen": None,
    }
    assert (buyer.balance, buyer.held_balance) == (10, 0)
    assert Purchase.from_json(request.body).lines == [LineChoice(course.pk, policy_of(course).pk, None)]


def test_replay_answers_the_first_request() -> None:
    buyer, course = make_buyer(), make_course()
    first = make_request(buyer, course, key="k")
    with nothing_changes():
        again, is_new = place_order(
            account=buyer, purchase=make_purchase(course), idempotency_key="k", request_id="r2", now=NOW
        )
    assert (again.pk, is_new) == (first.pk, False)


def test_key_with_another_purchase_is_refused() -> None:
    buyer, course = make_buyer(), make_course()
    make_request(buyer, course, key="k")
    with nothing_changes(), pytest.raises(IdempotencyKeyReused):
        make_request(buyer, course, key="k", beili=1)


def test_keys_belong_to_their_buyer() -> None:
    course = make_course()
    first, second = make_request(make_buyer(), course, key="k"), make_request(make_buyer(), course, key="k")
    assert first.pk != second.pk


def test_checkout_freezes_the_prices_seen() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    request = make_request(buyer, course, checkout_id=checked_out(buyer, course))
    assert request.body["prices_seen"] == {str(course.pk): "99.00"}


def test_checkout_makes_one_order() -> None:
    buyer, course = make_buyer(), make_course()
    checkout_id = checked_out(buyer, course)
    first = make_request(buyer, course, checkout_id=checkout_id, key="k1")
    with nothing_changes(), pytest.raises(CheckoutUsed) as refusal:
        make_request(buyer, course, checkout_id=checkout_id, key="k2")
    assert refusal.value.details == {"order_number": first.order_number}


def test_checkout_may_be_tried_again_after_a_refusal() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    checkout_id = checked_out(buyer, course)
    first = make_request(buyer, course, checkout_id=checkout_id, alipay="1.00")
    decide(first)
    assert first.status == OrderRequestStatus.REJECTED
    assert make_request(buyer, course, checkout_id=checkout_id).status == OrderRequestStatus.PENDING


def test_replay_may_come_after_its_checkout_has_expired(valkey: object) -> None:
    buyer, course = make_buyer(), make_course()
    checkout_id = checked_out(buyer, course)
    first = make_request(buyer, course, checkout_id=checkout_id, key="k")
    valkey.flushdb()  # type: ignore[attr-defined] # it is a redis.Redis
    again = make_request(buyer, course, checkout_id=checkout_id, key="k")
    assert again.pk == first.pk


@pytest.mark.parametrize("whose", ["nobody's", "another's", "pending"])
def test_missing_or_pending_checkout_is_refused(whose: str) -> None:
    buyer, other, course = make_buyer(), make_buyer(), make_course()
    add(buyer, course)
    ids = {
        "nobody's": "X" * 30,
        "another's": checked_out(other, course),
        "pending": start_checkout(account=buyer, course_ids=[course.pk], now=NOW).checkout_id,
    }
    with nothing_changes(), pytest.raises(CheckoutExpired):
        make_request(buyer, course, checkout_id=ids[whose])


def test_checkout_of_other_courses_is_refused() -> None:
    buyer, course, other = make_buyer(), make_course(), make_course()
    checkout_id = checked_out(buyer, course)
    with nothing_changes(), pytest.raises(CheckoutMismatch):
        make_request(buyer, course, other, checkout_id=checkout_id)


def test_checkout_of_another_policy_is_refused() -> None:
    buyer, course = make_buyer(), make_course()
    checkout_id = checked_out(buyer, course)
    other = make_policy(course, "1.00", period=90)
    purchase = replace(
        make_purchase(course, checkout_id=checkout_id),
        lines=[LineChoice(course.pk, other.pk, None)],
        alipay=Decimal("1.00"),
    )
    with nothing_changes(), pytest.raises(CheckoutMismatch):
        place_order(account=buyer, purchase=purchase, idempotency_key="k", request_id="", now=NOW)


@pytest.mark.usefixtures("valkey_away")
def test_orders_are_taken_without_valkey() -> None:
    buyer, course = make_buyer(), make_course()
    request = make_request(buyer, course, checkout_id="X" * 30)
    assert (request.status, request.body["prices_seen"]) == ("pending", None)
    decide(request)
    assert request.status == OrderRequestStatus.CREATED


def test_number_that_is_taken_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "mint_number", lambda now: "SAME")
    buyer, course = make_buyer(), make_course()
    make_request(buyer, course)
    with nothing_changes(), pytest.raises(StaleState, match="SAME"):
        make_request(buyer, course)


def test_order_is_its_buyers_only() -> None:
    buyer, other = make_buyer(), make_buyer()
    order = make_order(buyer, make_course())
    assert finding.get_order(account_id=buyer.pk, order_number=order.order_number) == order
    with pytest.raises(OrderNotFound):
        finding.get_order(account_id=other.pk, order_number=order.order_number)
