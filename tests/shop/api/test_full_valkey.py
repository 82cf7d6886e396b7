"""Valkey is full: carts and checkouts are refused, orders and payments go on."""

import pytest
import redis
import structlog

from shop.models import Account, Course, OrderRequest
from shop.tasks import create_orders
from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_course, make_order, policy_of
from tests.shopping import V1, body_of, check_out, post_order, put_in_cart

pytestmark = pytest.mark.django_db


@pytest.fixture
def buyer() -> Account:
    return make_buyer()


@pytest.fixture
def course() -> Course:
    return make_course("99.00")


def test_carts_and_checkouts_refuse_and_orders_go_on(
    buyer: Account, course: Course, own_valkey: redis.Redis
) -> None:
    api = Api(buyer)
    put_in_cart(api, course)
    checkout = check_out(api, course)
    own_valkey.config_set("maxmemory", 1)
    other = make_course()
    with structlog.testing.capture_logs() as lines:
        for answer in (
            api.post(f"{V1}/cart/", {"course_id": other.pk, "policy_id": policy_of(other).pk}),
            api.put(f"{V1}/cart/{course.pk}/", {"policy_id": policy_of(course).pk}),
            api.post(f"{V1}/checkout/", {"course_list": [course.pk]}),
        ):
            assert refused(answer) == (503, 1198, "service_unavailable")
            assert answer["Retry-After"] == "2"
    assert [line["alert"] for line in lines if line["event"] == "valkey_full"] == [True] * 3
    # Existing carts can be read and used, and removing lines frees memory.
    assert answered(api.get(f"{V1}/checkout/"))["status"] == "ready"
    assert list(answered(api.get(f"{V1}/cart/"))) == [str(course.pk)]
    body = body_of(course, alipay="99.00", checkout_id=checkout["checkout_id"])
    placed = answered(post_order(api, body), 202)
    create_orders()
    assert OrderRequest.objects.get().status == "created"
    assert answered(api.get(placed["url"]))["status"] == "awaiting_payment"
    assert api.delete(f"{V1}/cart/").status_code in {200, 204}


def test_buyers_log_in_and_claim(own_valkey: redis.Redis) -> None:
    make_buyer(username="lufei", password="correct horse battery")
    own_valkey.config_set("maxmemory", 1)
    token = answered(
        Api().post(f"{V1}/auth/login/", {"username": "lufei", "password": "correct horse battery"})
    )
    assert token["token"]


def test_order_is_polled_and_cancelled(buyer: Account, course: Course, own_valkey: redis.Redis) -> None:
    order = make_order(buyer, course)
    own_valkey.config_set("maxmemory", 1)
    api = Api(buyer)
    assert answered(api.get(f"{V1}/orders/{order.order_number}/"))["status"] == "awaiting_payment"
    assert (
        answered(api.post(f"{V1}/orders/{order.order_number}/cancel/"), 202)["status"] == "awaiting_payment"
    )
