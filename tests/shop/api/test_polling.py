"""Polls of `orders/{number}/` over the API: what they cost, and what they are told."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from shop.domain import creation
from shop.models import Account
from tests.clients import Api, answered, refused
from tests.factories import NOW, make_buyer, make_course, make_request

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def buyer() -> Account:
    return make_buyer()


def test_unchanged_order_is_told_without_a_statement(buyer: Account) -> None:
    api = Api(buyer)
    url = f"/api/v1/orders/{make_request(buyer, make_course()).order_number}/"
    first = api.get(url)
    assert answered(first)["status"] == "pending"
    with CaptureQueriesContext(connection) as captured:
        again = api.get(url, headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content, again["ETag"], again["Retry-After"], len(captured)) == (304, b"", first["ETag"], "1", 0)


def test_news_is_told_at_once(buyer: Account) -> None:
    api = Api(buyer)
    request = make_request(buyer, make_course())
    url = f"/api/v1/orders/{request.order_number}/"
    first = api.get(url)
    assert api.get(url, headers={"If-None-Match": first["ETag"]}).status_code == 304
    creation.create_orders([request.pk], now=NOW, cause="test")
    news = api.get(url, headers={"If-None-Match": first["ETag"]})
    assert answered(news)["status"] == "awaiting_payment"
    assert news["ETag"] != first["ETag"]


@pytest.mark.parametrize("etag", ['"pending-0"', "*", "", "nonsense", '"pending-00000000000"', 'W/"pending-0"', '"%s-0"'])
def test_stranger_learns_nothing_by_guessing_the_tag(buyer: Account, etag: str) -> None:
    url = f"/api/v1/orders/{make_request(buyer, make_course()).order_number}/"
    answered(Api(buyer).get(url))
    stranger = Api(make_buyer())
    for _ in range(2):
        assert refused(stranger.get(url, headers={"If-None-Match": etag})) == (404, 1001, "order_not_found")


def test_ended_token_is_forgotten(buyer: Account) -> None:
    api = Api(buyer)
    url = f"/api/v1/orders/{make_request(buyer, make_course()).order_number}/"
    etag = api.get(url)["ETag"]
    assert api.get(url, headers={"If-None-Match": etag}).status_code == 304
    assert api.post("/api/v1/auth/logout/").status_code == 204
    assert refused(api.get(url, headers={"If-None-Match": etag})) == (401, 1101, "not_authenticated")
