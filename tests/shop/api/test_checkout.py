"""`checkout/`."""

import pytest
import redis
from pytest_django import Settings

from shop.models import Course, OrderLine, PricePolicy
from shop.states import CourseStatus
from shop.tasks import prepare_checkouts
from shop.valkey import DUE_CHECKOUTS, queued_key, wake_key
from tests import orderlives
from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_course, make_policy
from tests.shop.test_wakeup import messages
from tests.shopping import V1, check_out, put_in_cart
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
CHECKOUT = f"{V1}/checkout/"


@pytest.fixture
def api() -> Api:
    return Api(make_buyer(beili=5))


def test_it_works(api: Api, broker_valkey: redis.Redis) -> None:
    course = make_course("99.00")
    put_in_cart(api, course)
    started = answered(api.post(CHECKOUT, {"course_list": [str(course.pk)]}), 202)
    assert started == {
        "checkout_id": started["checkout_id"],
        "status": "pending",
        "url": f"{CHECKOUT}{started['checkout_id']}/",
    }
    assert messages(broker_valkey, "checkout") == [("shop.prepare_checkouts", "{}")]
    priced = check_out(api, course)
    assert (priced["status"], priced["balance"], priced["quote"]["alipay"]) == ("ready", 5, "99.00")
    assert answered(api.get(CHECKOUT)) == priced


def test_checkout_that_a_killed_worker_had_taken_is_due_again_when_its_buyer_asks(
    api: Api, broker_valkey: redis.Redis, valkey: redis.Redis
) -> None:
    course = make_course("99.00")
    put_in_cart(api, course)
    started = answered(api.post(CHECKOUT, {"course_list": [course.pk]}), 202)
    assert valkey.lpop(DUE_CHECKOUTS) == started["checkout_id"].encode()
    broker_valkey.flushdb()
    valkey.delete(wake_key("shop.prepare_checkouts"))

    answered(api.get(started["url"]))
    assert (messages(broker_valkey, "checkout"), valkey.llen(DUE_CHECKOUTS)) == ([], 0)
    valkey.delete(queued_key(started["checkout_id"]))  # as after two seconds
    assert api.get(started["url"])["Retry-After"] == "1"
    assert (len(messages(broker_valkey, "checkout")), valkey.llen(DUE_CHECKOUTS)) == (1, 1)
    prepare_checkouts()
    assert answered(api.get(started["url"]))["status"] == "ready"


@pytest.mark.parametrize("life", ["cancelled", "expired", "paid", "refunded"])
def test_order_is_bought_again_in_one_request(life: str) -> None:
    buyer = make_buyer(beili=5)
    api, number = Api(buyer), orderlives.LIVES[life](buyer)
    lines = list(OrderLine.objects.filter(order__order_number=number).order_by("id"))
    again = answered(api.post(f"{V1}/orders/{number}/again/"), 202)
    assert again == {
        "checkout_id": again["checkout_id"],
        "status": "pending",
        "url": f"{CHECKOUT}{again['checkout_id']}/",
        "left_out": [],
    }
    prepare_checkouts()
    priced = answered(api.get(again["url"]))
    chosen = {
        entry["course_id"]: entry["policy_id"]
        for entry in priced["payment_list"]["policy_course_dict"].values()
    }
    assert (priced["status"], chosen) == ("ready", {line.course_id: line.policy_id for line in lines})


def test_what_is_bought_again_is_what_can_be_bought_now() -> None:
    """One course is offline; the other one's period belongs to another policy now, with today's price."""
    buyer = make_buyer()
    api, number = Api(buyer), orderlives.make_cancelled(buyer)
    gone, kept = OrderLine.objects.filter(order__order_number=number).order_by("id")
    Course.objects.filter(pk=gone.course_id).update(status=CourseStatus.OFFLINE)
    PricePolicy.objects.filter(course=kept.course_id).delete()
    policy = make_policy(Course.objects.get(pk=kept.course_id), "77.00", period=kept.valid_period)
    again = answered(api.post(f"{V1}/orders/{number}/again/"), 202)
    assert again["left_out"] == [gone.course_id]
    prepare_checkouts()
    (entry,) = answered(api.get(again["url"]))["payment_list"]["policy_course_dict"].values()
    assert (entry["course_id"], entry["policy_id"], entry["policy_price"]) == (
        kept.course_id,
        policy.pk,
        "77.00",
    )


def test_nothing_that_could_be_bought_again() -> None:
    buyer = make_buyer()
    number, api = orderlives.make_expired(buyer), Api(buyer)
    PricePolicy.objects.all().delete()
    with nothing_changes():
        assert refused(api.post(f"{V1}/orders/{number}/again/")) == (409, 1110, "course_not_on_sale")


def test_order_that_does_not_fit_into_the_cart(settings: Settings) -> None:
    buyer, settings.CART_MAX_LINES = make_buyer(), 2
    number, api = orderlives.make_expired(buyer), Api(buyer)
    put_in_cart(api, make_course())
    with nothing_changes():
        assert refused(api.post(f"{V1}/orders/{number}/again/")) == (409, 1111, "cart_full")


@pytest.mark.parametrize(("life", "slug"), [("pending", "order_pending"), ("rejected", "order_rejected")])
def test_request_without_an_order_is_not_bought_again(life: str, slug: str) -> None:
    buyer = make_buyer()
    number, api, other = orderlives.LIVES[life](buyer), Api(buyer), Api(make_buyer())
    with nothing_changes():
        status, _, error = refused(api.post(f"{V1}/orders/{number}/again/"))
        assert (status, error) == (409, slug)
        assert refused(other.post(f"{V1}/orders/{number}/again/")) == (404, 1001, "order_not_found")


def test_another_buyers_checkout(api: Api) -> None:
    started = answered(Api(make_buyer()).post(CHECKOUT, {"course_list": [1]}), 202)
    with nothing_changes():
        assert refused(api.get(started["url"])) == (404, 1001, "checkout_not_found")


def test_missing_checkout(api: Api) -> None:
    with nothing_changes():
        assert refused(api.get(f"{CHECKOUT}{'0' * 30}/")) == (404, 1001, "checkout_not_found")


def test_login_is_required() -> None:
    with nothing_changes():
        assert refused(Api().post(CHECKOUT, {"course_list": [1]})) == (401, 1101, "not_authenticated")
        assert refused(Api().get(CHECKOUT)) == (401, 1101, "not_authenticated")
