"""`cart/`. The defects of the original's cart are in tests/defects."""

import pytest

from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_course, make_policy, policy_of
from tests.shopping import V1, put_in_cart
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
CART = f"{V1}/cart/"


@pytest.fixture
def api() -> Api:
    return Api(make_buyer())


def test_it_works(api: Api) -> None:
    course = make_course("99.00", period=30)
    year = make_policy(course, "399.00", period=360)
    shown = answered(api.post(CART, {"course_id": course.pk, "policy_id": year.pk}))
    assert shown == {
        str(course.pk): {
            "id": course.pk,
            "name": course.name,
            "course_img": course.course_img,
            "price_policy_list": [
                {"id": policy_of(course).pk, "period": "1个月", "valid_period": 30, "price": "99.00"},
                {"id": year.pk, "period": "12个月", "valid_period": 360, "price": "399.00"},
            ],
            "choice_policy_id": year.pk,
            "price_seen": "399.00",
            "flags": [],
            "unpaid_order_number": None,
        }
    }
    assert answered(api.get(CART)) == shown


def test_login_is_required(api: Api) -> None:
    course = make_course()
    put_in_cart(api, course)
    with nothing_changes():
        for answer in (
            Api().get(CART),
            Api().delete(CART),
            Api().put(f"{CART}{course.pk}/", {}),
            Api().delete(f"{CART}{course.pk}/"),
        ):
            assert refused(answer) == (401, 1101, "not_authenticated")


def test_unknown_field(api: Api) -> None:
    course = make_course()
    with nothing_changes():
        answer = api.post(CART, {"course_id": course.pk, "policy_id": policy_of(course).pk, "price": "0.01"})
    assert refused(answer) == (400, 1003, "invalid_input")


def test_change_demands_a_policy(api: Api) -> None:
    course = make_course()
    put_in_cart(api, course)
    with nothing_changes():
        assert refused(api.put(f"{CART}{course.pk}/", {})) == (400, 1003, "invalid_input")


@pytest.mark.parametrize("number", ["0" * 19, "-1", "1.0", "١"])
def test_invalid_id_in_the_url(api: Api, number: str) -> None:
    with nothing_changes():
        assert api.delete(f"{CART}{number}/").status_code == 404


@pytest.mark.usefixtures("valkey_away")
def test_without_valkey_the_cart_is_unavailable(api: Api) -> None:
    answer = api.get(CART)
    assert refused(answer) == (503, 1198, "service_unavailable")
    assert answer["Retry-After"] == "2"
