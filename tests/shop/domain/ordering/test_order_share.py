"""A buyer's limits: open orders, and requests per minute."""

import time
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from pytest_django import Settings

from shop.domain.accounts.tokens import issue_token
from shop.domain.callers import digest_of
from shop.domain.limits import Rate
from shop.domain.ordering import order_share
from shop.domain.ordering.intake import place_order
from shop.errors import TooManyRequests
from shop.models import Account, Course, Order, OrderRequest
from tests.factories import NOW, decide, make_buyer, make_course, make_order, make_purchase, make_request
from tests.races.crowd import run_at_once
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def few(settings: Settings) -> None:
    settings.MAX_OPEN_ORDERS = 3


@pytest.fixture
def buyer() -> Account:
    return make_buyer()


@pytest.fixture
def course() -> Course:
    return make_course()


def refused(account: Account, course: Course, **how: object) -> TooManyRequests:
    with nothing_changes(), pytest.raises(TooManyRequests) as refusal:
        make_request(account, course, **how)  # type: ignore[arg-type]
    return refusal.value


def test_unpaid_orders_are_limited_until_the_first_one_closes(buyer: Account, course: Course) -> None:
    first = make_order(buyer, course, now=NOW - timedelta(minutes=10))
    for _ in range(2):
        make_order(buyer, course)
    refusal = refused(buyer, course)
    assert refusal.details["limit"] == "open_orders"
    assert refusal.retry_after_s == int((first.closes_at - NOW).total_seconds()) + 1
    assert make_request(make_buyer(), course)


def test_requests_that_no_worker_has_seen_count_too(buyer: Account, course: Course) -> None:
    requests = [make_request(buyer, course) for _ in range(3)]
    assert refused(buyer, course).retry_after_s == 1
    decide(*requests)
    assert refused(buyer, course).details["limit"] == "open_orders"


def test_limit_is_what_refuses(buyer: Account, course: Course, settings: Settings) -> None:
    """The control: the same orders under a higher limit."""
    settings.MAX_OPEN_ORDERS = 5
    for _ in range(5):
        make_order(buyer, course)
    refused(buyer, course)


@pytest.mark.parametrize("status", ["paid", "cancelled", "expired"])
def test_order_that_is_no_longer_open_makes_room(buyer: Account, course: Course, status: str) -> None:
    orders = [make_order(buyer, course) for _ in range(3)]
    ended = {"paid_at": NOW} if status == "paid" else {"closed_at": NOW}
    Order.objects.filter(pk=orders[0].pk).update(status=status, **ended)
    assert make_request(buyer, course)
    refused(buyer, course)


def test_orders_that_cost_nothing_and_refused_requests_are_never_open(course: Course) -> None:
    rich = make_buyer(beili=1000)
    for _ in range(4):
        make_order(rich, course, beili=99, alipay="0.00")
    for _ in range(4):
        decide(make_request(rich, course, alipay="0.01"))
    assert make_request(rich, course)


def test_replay_finds_its_order_at_the_limit(buyer: Account, course: Course) -> None:
    requests = [make_request(buyer, course, key=f"key-{number}") for number in range(3)]
    again = make_request(buyer, course, key="key-1")
    assert again.pk == requests[1].pk


def test_token_is_limited_as_its_buyer_is(buyer: Account, course: Course) -> None:
    _, token = issue_token(account=buyer, now=NOW)
    for number in range(4):
        place = {
            "purchase": make_purchase(course),
            "idempotency_key": f"k{number}",
            "request_id": "test",
            "now": NOW,
        }
        if number < 3:
            place_order(account=digest_of(token.encode()), **place)  # type: ignore[arg-type]
    with nothing_changes(), pytest.raises(TooManyRequests):
        place_order(account=digest_of(token.encode()), **place)  # type: ignore[arg-type]


def test_rate_is_shared_by_all_tokens_of_a_buyer(buyer: Account, course: Course, settings: Settings) -> None:
    settings.MAX_OPEN_ORDERS = 100
    settings.LIMITS = {**settings.LIMITS, Rate.ORDER_REQUESTS.value: (4, 60)}
    digests = [digest_of(issue_token(account=buyer, now=NOW)[1].encode()) for _ in range(3)]
    placed, refusals = 0, []
    for number in range(12):
        try:
            place_order(
                account=digests[number % 3],
                purchase=make_purchase(course, alipay=str(Decimal("0.01"))),
                idempotency_key=f"k{number}",
                request_id="test",
                now=NOW,
            )
            placed += 1
        except TooManyRequests as refusal:
            refusals.append(refusal.details)
    assert {refusal["limit"] for refusal in refusals} == {"order_requests"}
    assert all(58 <= refusal["retry_after_s"] <= 61 for refusal in refusals)
    # Each token's first request counts for the token alone: its answer says who the buyer is.
    assert 4 <= placed <= 4 + len(digests)
    assert make_request(make_buyer(), course)


def test_window_ends(buyer: Account, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LIMITS = {**settings.LIMITS, Rate.ORDER_REQUESTS.value: (1, 30)}
    now_s = 1000
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    order_share.count_request(buyer)
    with pytest.raises(TooManyRequests) as refusal:
        order_share.count_request(buyer)
    now_s += refusal.value.details["retry_after_s"]
    order_share.count_request(buyer)


def test_memory_is_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_share, "_REMEMBERED", 50)
    windows = order_share._Windows()
    for number in range(500):
        windows.count(number)
        windows.learn(digest_of(f"{number:064x}".encode()), number)
    assert len(windows._windows) <= 50
    assert len(windows._owners) <= 50


@pytest.mark.race
@pytest.mark.django_db(transaction=True)
def test_crowd_passes_the_limit_by_no_more_than_its_own_size(buyer: Account, course: Course) -> None:
    """Concurrent statements don't see each other's rows."""

    def place(number: int) -> None:
        for turn in range(5):
            try:
                make_request(buyer, course, key=f"{number}-{turn}")
            except TooManyRequests:
                return

    assert run_at_once([partial(place, number) for number in range(4)]) == [None] * 4
    assert 3 <= OrderRequest.objects.count() <= 3 + 4 - 1
    refused(buyer, course)
