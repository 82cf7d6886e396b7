"""The original's checkout (K1 to K19): one test for each defect, which its docstring names."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from pytest_django import Settings

from shop import clock
from shop.models import Account, CouponRecord, Course, PricePolicy
from shop.states import CouponRecordStatus, CouponScope, CouponType, CourseStatus
from shop.tasks import expire_coupons
from tests.clients import Api, answered, refused
from tests.factories import make_coupon, make_course, make_order, make_record
from tests.shopping import V1, body_of, check_out, order_of, put_in_cart, with_coupon
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
CHECKOUT = f"{V1}/checkout/"


def globals_of(priced: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = priced["payment_list"]["global_coupon_record_dict"]
    return found


def of_course(priced: dict[str, Any], course: Course) -> dict[str, Any]:
    found: dict[str, Any] = priced["payment_list"]["policy_course_dict"][str(course.pk)]
    return found


def test_k01_success_looks_like_success_and_says_where_to_look(api: Api) -> None:
    """Success had the code of an error and no data."""
    course = make_course()
    put_in_cart(api, course)
    answer = api.post(CHECKOUT, {"course_list": [course.pk]})
    started = answered(answer, 202)
    assert (answer["Location"], answer["Retry-After"]) == (started["url"], "1")
    assert answered(api.get(started["url"]))["status"] == "pending"


def test_k02_dated_global_coupon_does_not_stop_the_checkout(api: Api, buyer: Account) -> None:
    """Whoever held a global coupon with dates could not check out at all: dates are no JSON."""
    course = make_course("99.00")
    record = make_record(buyer)
    put_in_cart(api, course)
    entry = globals_of(check_out(api, course))[str(record.pk)]
    assert (entry["valid_from"], entry["valid_until"], entry["saving"]) == (
        "2020-01-01",
        "2099-12-31",
        "10.00",
    )


def test_k03_decimals_pass(api: Api) -> None:
    """A Decimal price would have failed the same way."""
    course = make_course("99.90")
    put_in_cart(api, course)
    assert of_course(check_out(api, course), course)["policy_price"] == "99.90"


def test_k04_global_coupon_from_the_checkout_can_be_ordered(api: Api, buyer: Account) -> None:
    """The id turned into text on its way through the cache and was never found again."""
    course = make_course("99.00")
    make_record(buyer)
    put_in_cart(api, course)
    (key,) = [key for key in globals_of(check_out(api, course)) if key != "0"]
    assert (
        order_of(api, body_of(course, alipay="89.00", coupon_record_id=key))["status"] == "awaiting_payment"
    )


def test_k05_course_coupons_are_attached(api: Api, buyer: Account) -> None:
    """A number was looked up among texts, so no course coupon was ever attached."""
    course = make_course("99.00")
    record = make_record(buyer, make_coupon(value="10", course=course))
    put_in_cart(api, course)
    assert [entry["id"] for entry in of_course(check_out(api, course), course)["coupon_record_list"]] == [
        0,
        record.pk,
    ]


def test_k06_course_and_price_are_read_again(api: Api) -> None:
    """Only the cart's old copy was read: courses that had gone offline and old prices passed."""
    repriced, offline = make_course("99.00"), make_course("99.00")
    put_in_cart(api, repriced, offline)
    PricePolicy.objects.filter(course=repriced).update(price="109.00")
    Course.objects.filter(pk=offline.pk).update(status=CourseStatus.OFFLINE)
    assert of_course(check_out(api, repriced), repriced)["policy_price"] == "109.00"
    assert check_out(api, offline)["error"]["error"] == "course_not_on_sale"


@pytest.mark.parametrize(
    "course_list", [None, "1", [], [None], ["x"], [1, 1], [1, "1"], [{}], list(range(1, 52))]
)
def test_k07_list_is_validated(api: Api, course_list: Any) -> None:
    """Items weren't looked at, and a course that came twice vanished silently."""
    with nothing_changes():
        assert refused(api.post(CHECKOUT, {"course_list": course_list})) == (400, 1003, "invalid_input")


def test_k08_statements_do_not_grow_with_the_coupons(
    api: Api, buyer: Account, django_assert_max_num_queries: Any
) -> None:
    """There was a statement for each coupon, twice."""
    course = make_course("99.00")
    put_in_cart(api, course)
    for _ in range(8):
        make_record(buyer, make_coupon(value="1", course=course))
    with django_assert_max_num_queries(6):  # each request looks up its token; the worker needs three
        check_out(api, course)


def test_k09_relative_validity_ends(api: Api, buyer: Account, settings: Settings) -> None:
    """Coupons that are good for some days after the claim never ended."""
    coupon = make_coupon(value="10", valid_begin_date=None, valid_end_date=None, coupon_valid_days=3)
    record_id = str(answered(api.post(f"{V1}/coupons/{coupon.pk}/claim/"), 201)["id"])
    course = make_course("99.00")
    put_in_cart(api, course)
    settings.CLOCK_OFFSET_S = 2 * 86_400
    assert record_id in globals_of(check_out(api, course))
    settings.CLOCK_OFFSET_S = 3 * 86_400
    assert record_id not in globals_of(check_out(Api(buyer), course))


def test_k10_the_day_is_shanghais(buyer: Account) -> None:
    """ "Today" was the server's."""
    from datetime import UTC, datetime

    from shop.domain.coupons.coupons import list_usable

    today = datetime(2026, 3, 2, tzinfo=UTC).date()
    record = make_record(buyer, valid_until_date=today)
    assert list_usable([buyer.pk], now=datetime(2026, 3, 2, 15, 59, tzinfo=UTC)) == {buyer.pk: [record]}
    assert list_usable([buyer.pk], now=datetime(2026, 3, 2, 16, 0, tzinfo=UTC)) == {buyer.pk: []}


def test_k11_coupon_for_any_course_is_offered_on_each(api: Api, buyer: Account) -> None:
    """A coupon for any course was dropped silently, and so was one for a degree course."""
    from shop.states import CourseType

    course, degree = make_course("99.00"), make_course("99.00", course_type=CourseType.DEGREE)
    anywhere = make_record(buyer, make_coupon(value="10", scope=CouponScope.ANY_COURSE))
    for_degree = make_record(buyer, make_coupon(value="10", course=degree))
    put_in_cart(api, course, degree)
    priced = check_out(api, course, degree)
    assert [entry["id"] for entry in of_course(priced, course)["coupon_record_list"]] == [0, anywhere.pk]
    assert [entry["id"] for entry in of_course(priced, degree)["coupon_record_list"]] == [
        0,
        anywhere.pk,
        for_degree.pk,
    ]


def test_k12_coupon_under_its_threshold_is_shown_with_the_reason(api: Api, buyer: Account) -> None:
    """Course coupons under their threshold vanished; global ones were offered all the same."""
    course = make_course("99.00")
    whole = make_record(buyer, make_coupon(CouponType.THRESHOLD, "10", minimum="100"))
    make_record(buyer, make_coupon(CouponType.THRESHOLD, "10", minimum="100", course=course))
    put_in_cart(api, course)
    priced = check_out(api, course)
    entries = [globals_of(priced)[str(whole.pk)], of_course(priced, course)["coupon_record_list"][1]]
    assert [(entry["applicable"], entry["reason"]) for entry in entries] == [(False, "below_minimum")] * 2


def test_k13_server_does_the_arithmetic(api: Api, buyer: Account) -> None:
    """The client had to compute what the server then refused."""
    course = make_course("99.00")
    record = make_record(buyer, make_coupon(CouponType.PERCENT, off_percent=79))
    put_in_cart(api, course)
    quote = check_out(api, course)["quote"]
    assert (quote["alipay"], quote["coupon_record_id"], quote["beili_max"]) == ("78.21", record.pk, 78)


def test_k14_percent_coupon_has_its_percentage() -> None:
    """Nothing made sure that a percent coupon had a percentage."""
    from django.db import IntegrityError

    with pytest.raises(IntegrityError, match="coupon_type_has_its_fields"):
        make_coupon(CouponType.PERCENT)


def test_k15_coupon_of_an_unpaid_order_is_not_offered_and_old_ones_expire(api: Api, buyer: Account) -> None:
    """Coupons on unpaid orders were offered again, and nothing ever expired one."""
    course = make_course("99.00")
    record = make_record(buyer)
    over = make_record(buyer, valid_until_date=clock.shanghai_date(clock.now()) - timedelta(days=1))
    make_order(buyer, make_course("99.00"), global_coupon=record, alipay="89.00", now=clock.now())
    put_in_cart(api, course)
    assert set(globals_of(check_out(api, course))) == {"0"}
    expire_coupons()
    assert CouponRecord.objects.get(pk=over.pk).status == CouponRecordStatus.EXPIRED


def test_k16_second_tab_has_a_checkout_of_its_own_that_ends(
    api: Api, valkey: redis.Redis, settings: Settings
) -> None:
    """There was one checkout per buyer, without an id or an expiry: the second tab overwrote the first."""
    cheap, dear = make_course("1.00"), make_course("2.00")
    put_in_cart(api, cheap, dear)
    first, second = check_out(api, cheap), check_out(api, dear)
    again = answered(api.get(f"{CHECKOUT}{first['checkout_id']}/"))
    assert (again["quote"]["alipay"], second["quote"]["alipay"]) == ("1.00", "2.00")
    assert answered(api.get(CHECKOUT))["checkout_id"] == second["checkout_id"]
    assert 0 < valkey.ttl(f"checkout:{first['checkout_id']}") <= settings.CHECKOUT_TTL_S


def test_k17_no_checkout_is_told_apart_from_a_fault_and_the_rate_is_given(api: Api) -> None:
    """Every fault was answered "结算列表为空", and the value of 贝里 wasn't given."""
    assert refused(api.get(CHECKOUT)) == (404, 1001, "checkout_not_found")
    course = make_course("99.00")
    put_in_cart(api, course)
    priced = check_out(api, course)
    assert (priced["balance"], priced["beili_per_yuan"], priced["quote"]["beili_max"]) == (100, 1, 99)


def test_k18_documented_shape_is_the_real_one(api: Api) -> None:
    """The documentation named other keys than the code."""
    from drf_spectacular.generators import SchemaGenerator

    course = make_course()
    put_in_cart(api, course)
    priced = check_out(api, course)
    schemas = SchemaGenerator().get_schema(public=True)["components"]["schemas"]
    documented = schemas["CheckoutOutput"]["properties"]
    assert set(priced) | {"error"} == set(documented)
    (reference,) = documented["payment_list"].get("allOf", [documented["payment_list"]])
    name = reference["$ref"]
    assert set(priced["payment_list"]) == set(schemas[name.rsplit("/", 1)[1]]["properties"])


def test_k19_failure_has_a_slug_and_details_for_programs(api: Api) -> None:
    """Control flow used bare exceptions with a text."""
    course = make_course()
    error = check_out(api, course)["error"]
    assert (error["code"], error["error"], error["details"]) == (
        1001,
        "course_not_in_cart",
        {"course_ids": [course.pk]},
    )


def test_seed_coupon_that_never_applied_can_be_used_end_to_end(api: Api, buyer: Account) -> None:
    """K2, K4 and K5 together: a holder of a dated course coupon buys with it."""
    course = make_course("99.00")
    record = make_record(buyer, make_coupon(CouponType.PERCENT, off_percent=79, course=course))
    put_in_cart(api, course)
    priced = check_out(api, course)
    body = with_coupon(
        body_of(course, alipay=priced["quote"]["alipay"], checkout_id=priced["checkout_id"]), record
    )
    assert order_of(api, body)["amounts"]["course_discount"] == "20.79"
