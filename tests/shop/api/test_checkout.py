"""`checkout/`."""

import pytest
import redis
from pytest_django import Settings

from shop.tasks import prepare_checkouts
from shop.valkey import DUE_CHECKOUTS, wake_key
from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_course
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
    assert started == {"checkout_id": started["checkout_id"], "status": "pending", "url": f"{CHECKOUT}{started['checkout_id']}/"}
    assert messages(broker_valkey, "checkout") == [("shop.prepare_checkouts", "{}")]
    priced = check_out(api, course)
    assert (priced["status"], priced["balance"], priced["quote"]["alipay"]) == ("ready", 5, "99.00")
    assert answered(api.get(CHECKOUT)) == priced


def test_checkout_that_a_killed_worker_had_taken_is_due_again_when_its_buyer_asks(
    api: Api, broker_valkey: redis.Redis, valkey: redis.Redis, settings: Settings
) -> None:
    course = make_course("99.00")
    put_in_cart(api, course)
    started = answered(api.post(CHECKOUT, {"course_list": [course.pk]}), 202)
    assert valkey.lpop(DUE_CHECKOUTS) == started["checkout_id"].encode()
    broker_valkey.flushdb()
    valkey.delete(wake_key("shop.prepare_checkouts"))

    answered(api.get(started["url"]))
    assert (messages(broker_valkey, "checkout"), valkey.llen(DUE_CHECKOUTS)) == ([], 0)
    settings.CLOCK_OFFSET_S = 3
    assert api.get(started["url"])["Retry-After"] == "1"
    assert (len(messages(broker_valkey, "checkout")), valkey.llen(DUE_CHECKOUTS)) == (1, 1)
    prepare_checkouts()
    assert answered(api.get(started["url"]))["status"] == "ready"


def test_somebody_elses(api: Api) -> None:
    started = answered(Api(make_buyer()).post(CHECKOUT, {"course_list": [1]}), 202)
    with nothing_changes():
        assert refused(api.get(started["url"])) == (404, 1001, "checkout_not_found")


def test_one_that_is_not_there(api: Api) -> None:
    with nothing_changes():
        assert refused(api.get(f"{CHECKOUT}{'0' * 30}/")) == (404, 1001, "checkout_not_found")


def test_login_is_demanded() -> None:
    with nothing_changes():
        assert refused(Api().post(CHECKOUT, {"course_list": [1]})) == (401, 1101, "not_authenticated")
        assert refused(Api().get(CHECKOUT)) == (401, 1101, "not_authenticated")
