"""Limits on opening the cashier, per order and per buyer."""

import pytest
from pytest_django import Settings

from shop import clock
from shop.domain.orders.paylinks import pay_url
from tests.clients import Api, refused
from tests.factories import make_buyer, make_course, make_order
from tests.shopping import V1
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def few(alipay_settings: Settings) -> None:
    alipay_settings.LIMITS = {
        **alipay_settings.LIMITS,
        "payment_starts_of_order": (3, 600),
        "payment_starts_of_buyer": (5, 600),
    }


def path_of(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def test_api_and_link_share_one_limit_of_an_order() -> None:
    order = make_order(make_buyer(), make_course(), now=clock.now())
    api, link = Api(order.account), path_of(pay_url(order.order_number))
    payments = f"{V1}/orders/{order.order_number}/payments/"
    assert api.post(payments, {"product": "page"}).status_code == 200
    assert [Api().get(link).status_code for _ in range(2)] == [302, 302]
    with nothing_changes():
        answer = api.post(payments, {"product": "page"})
        page = Api().get(link)
    assert refused(answer) == (429, 1107, "too_many_requests")
    assert answer.json()["details"]["limit"] == "payment_starts_of_order"
    assert page.status_code == 429
    assert 595 <= int(page["Retry-After"]) <= int(answer["Retry-After"]) <= 600


def test_buyer_has_a_limit_over_all_orders() -> None:
    buyer, course = make_buyer(), make_course()
    orders = [make_order(buyer, course, now=clock.now()) for _ in range(6)]
    answers = [
        Api(buyer).post(f"{V1}/orders/{order.order_number}/payments/", {"product": "page"})
        for order in orders
    ]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[5].json()["details"]["limit"] == "payment_starts_of_buyer"
    stranger = make_order(make_buyer(), course, now=clock.now())
    assert (
        Api(stranger.account)
        .post(f"{V1}/orders/{stranger.order_number}/payments/", {"product": "page"})
        .status_code
        == 200
    )


def test_attempts_on_another_buyers_order_do_not_count_for_its_buyer() -> None:
    order = make_order(make_buyer(), make_course(), now=clock.now())
    payments = f"{V1}/orders/{order.order_number}/payments/"
    stranger = Api(make_buyer())
    assert [stranger.post(payments).status_code for _ in range(5)] == [404] * 5
    assert Api(order.account).post(payments).status_code == 200
