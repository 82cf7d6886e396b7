"""The original's cart (C1 to C18): one test for each defect, which its docstring names."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import redis
from django.db import connection
from pytest_django import Settings

from shop import valkey as shop_valkey
from shop.models import Account, Course, PricePolicy
from shop.states import CourseStatus, CourseType
from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_course, make_order, make_policy, policy_of
from tests.shopping import V1, put_in_cart
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
CART = f"{V1}/cart/"


def add(api: Api, course: Any, policy: Any) -> Any:
    return api.post(CART, {"course_id": course, "policy_id": policy})


@pytest.mark.django_db(transaction=True)
def test_c01_two_tabs_never_lose_each_others_line(buyer: Account) -> None:
    """The cart was one JSON text per buyer, read, changed and written back: of two tabs the slower one erased
    the other's line.
    """
    courses = [make_course() for _ in range(16)]
    tabs = [Api(buyer) for _ in range(4)]

    def tab(number: int) -> None:
        put_in_cart(tabs[number], *courses[number::4])
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tab, range(4)))
    assert set(answered(tabs[0].get(CART))) == {str(course.pk) for course in courses}


def test_c02_each_cart_is_its_own_key_that_ends(api: Api, buyer: Account, valkey: redis.Redis) -> None:
    """All carts were fields of one key that never expired."""
    course = make_course()
    put_in_cart(api, course)
    put_in_cart(Api(make_buyer()), course)
    assert len(valkey.keys("cart:*")) == 2
    assert valkey.ttl(f"cart:{buyer.pk}") > 0


def test_c03_number_and_text_are_the_same_course(api: Api, buyer: Account, valkey: redis.Redis) -> None:
    """The id came in once as a number and once as text: the cart held 1 and "1"."""
    course = make_course()
    answered(add(api, course.pk, policy_of(course).pk))
    answered(add(api, str(course.pk), str(policy_of(course).pk)))
    assert valkey.hkeys(f"cart:{buyer.pk}") == [str(course.pk).encode()]


@pytest.mark.parametrize("course_id", [None, "x", "", 1.5, True, [], {}, -1, 0, "1 ", 2**63])
def test_c04_bad_input_is_named_by_field(api: Api, course_id: Any) -> None:
    """int(None) and int("x") ended as one general error."""
    with nothing_changes():
        answer = add(api, course_id, 1)
    assert refused(answer) == (400, 1003, "invalid_input")
    assert list(answer.json()["details"]["fields"]) == ["course_id"]


def test_c05_vip_only_courses_cannot_be_bought_and_degree_courses_can(api: Api) -> None:
    """Only degree courses were left out, which are for sale; VIP-only ones, which are not, could be
    bought.
    """
    vip, degree = make_course(course_type=CourseType.VIP_ONLY), make_course(course_type=CourseType.DEGREE)
    with nothing_changes():
        assert refused(add(api, vip.pk, policy_of(vip).pk)) == (409, 1110, "course_not_on_sale")
    put_in_cart(api, degree)


def test_c06_cart_shows_todays_prices_and_flags_what_changed(api: Api) -> None:
    """Prices, name and picture were copied into the cart and never read again."""
    course = make_course("99.00", name="旧名")
    put_in_cart(api, course)
    Course.objects.update(name="新名", status=CourseStatus.OFFLINE)
    PricePolicy.objects.update(price="109.00")
    line = answered(api.get(CART))[str(course.pk)]
    assert (line["name"], line["price_policy_list"][0]["price"], line["price_seen"]) == (
        "新名",
        "109.00",
        "99.00",
    )
    assert line["flags"] == ["offline", "price_changed"]


def test_c07_prices_are_decimals_and_travel_as_text(api: Api) -> None:
    """Prices were floats; as Decimals they could not have been stored at all."""
    course = make_course("0.10")
    put_in_cart(api, course)
    assert answered(api.get(CART))[str(course.pk)]["price_policy_list"][0]["price"] == "0.10"
    assert PricePolicy.objects.get().price == Decimal("0.10")


def test_c08_adding_again_replaces_the_choice(api: Api) -> None:
    """`setdefault` stood where an assignment was meant."""
    course = make_course()
    dearer = make_policy(course, "199.00", period=90)
    put_in_cart(api, course)
    answered(add(api, course.pk, dearer.pk))
    assert answered(api.get(CART))[str(course.pk)]["choice_policy_id"] == dearer.pk


def test_c09_cart_is_bounded_and_tells_what_the_buyer_owns(
    api: Api, buyer: Account, settings: Settings
) -> None:
    """Nothing bounded the cart, and nothing said that a course was owned already."""
    settings.CART_MAX_LINES = 1
    owned = make_course("0.00")
    make_order(buyer, owned, now=shop_now())
    put_in_cart(api, owned)
    other = make_course()
    with nothing_changes():
        assert refused(add(api, other.pk, policy_of(other).pk)) == (409, 1111, "cart_full")
    assert answered(api.get(CART))[str(owned.pk)]["flags"] == ["owned"]


def shop_now() -> Any:
    from shop import clock

    return clock.now()


def test_c10_missing_course_and_missing_policy_are_told_apart(api: Api) -> None:
    """Every missing row was answered "视频不存在"."""
    course = make_course()
    with nothing_changes():
        assert refused(add(api, 2**40, policy_of(course).pk)) == (404, 1001, "course_not_found")
        assert refused(add(api, course.pk, 2**40)) == (404, 1002, "policy_not_found")


def test_c11_fault_is_no_business_error(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """`except Exception: print` turned every fault into a polite refusal."""

    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("shop.domain.checkout.cart.list_cart", broken)
    api.raise_request_exception = False
    answer = api.get(CART)
    assert refused(answer) == (500, 1199, "internal_error")
    assert "a bug" not in answer.content.decode()


def test_c12_ids_in_the_address_are_numbers(api: Api) -> None:
    """Deleting worked only because JSON had made text of the keys."""
    course = make_course()
    put_in_cart(api, course)
    assert api.delete(f"{CART}{course.pk}/").status_code == 204
    assert answered(api.get(CART)) == {}
    assert refused(api.delete(f"{CART}x/")) == (404, 1001, "not_found")


@pytest.mark.parametrize("as_text", [True, False])
def test_c13_policy_is_read_alike_when_adding_and_when_changing(api: Api, as_text: bool) -> None:
    """Adding read the policy as a number, changing didn't: "2" was never 2."""
    course = make_course()
    dearer = make_policy(course, "199.00", period=90)
    put_in_cart(api, course)
    shown = answered(api.put(f"{CART}{course.pk}/", {"policy_id": str(dearer.pk) if as_text else dearer.pk}))
    assert shown[str(course.pk)]["choice_policy_id"] == dearer.pk


def test_c14_policy_is_checked_against_the_database(api: Api) -> None:
    """A changed policy was checked against the cart's own old copy."""
    course = make_course()
    gone = make_policy(course, "199.00", period=90)
    put_in_cart(api, course)
    gone_id = gone.pk
    gone.delete()
    with nothing_changes():
        assert refused(api.put(f"{CART}{course.pk}/", {"policy_id": gone_id})) == (
            404,
            1002,
            "policy_not_found",
        )


def test_c15_removing_is_idempotent_and_all_at_once_if_wanted(api: Api) -> None:
    """Removing what wasn't in was an error, and there was no way to empty the cart."""
    put_in_cart(api, make_course(), make_course())
    assert api.delete(f"{CART}{2**40}/").status_code == 204
    assert api.delete(CART).status_code == 204
    assert api.delete(CART).status_code == 204
    assert answered(api.get(CART)) == {}


def test_c16_refusals_have_their_own_codes_and_statuses(api: Api) -> None:
    """Code 1001 meant four things, always with status 200 and sometimes with an exception's text."""
    course = make_course()
    put = api.put(f"{CART}{course.pk}/", {"policy_id": policy_of(course).pk})
    assert refused(put) == (404, 1001, "cart_line_not_found")
    assert refused(Api().get(CART)) == (401, 1101, "not_authenticated")
    assert refused(api.patch(CART)) == (405, 1103, "method_not_allowed")


def test_c17_store_answers_text(api: Api, buyer: Account) -> None:
    """`.decode()` broke as soon as the client decoded by itself."""
    put_in_cart(api, make_course())
    assert all(
        isinstance(field, str) for field in shop_valkey.client().hgetall(shop_valkey.cart_key(buyer.pk))
    )


def test_c18_documented_shape_is_the_real_one(api: Api) -> None:
    """The documentation named fields that the code didn't have."""
    from drf_spectacular.generators import SchemaGenerator

    course = make_course()
    put_in_cart(api, course)
    line = answered(api.get(CART))[str(course.pk)]
    schema = SchemaGenerator().get_schema(public=True)
    documented = schema["components"]["schemas"]["CartLineOutput"]["properties"]
    assert set(line) == set(documented)
    assert set(line["price_policy_list"][0]) == set(
        schema["components"]["schemas"]["PolicyOutput"]["properties"]
    )
