"""`coupons/`."""

from datetime import timedelta

import pytest

from shop import clock
from shop.domain.coupons import codes
from shop.models import Account, CouponRecord
from shop.states import CouponType
from tests.clients import Api, answered, refused
from tests.factories import make_buyer, make_coupon, make_course, make_record
from tests.shopping import V1
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


@pytest.fixture
def buyer() -> Account:
    return make_buyer()


@pytest.fixture
def api(buyer: Account) -> Api:
    return Api(buyer)


def test_it_works(api: Api) -> None:
    course = make_course(name="甲")
    coupon = make_coupon(CouponType.PERCENT, off_percent=79, course=course, quantity=5)
    (campaign,) = answered(api.get(f"{V1}/coupons/"))["results"]
    assert (campaign["id"], campaign["summary"], campaign["course_name"], campaign["remaining"]) == (
        coupon.pk,
        "7.9折",
        "甲",
        5,
    )
    record = answered(api.post(f"{V1}/coupons/{coupon.pk}/claim/"), 201)
    assert (record["status"], record["coupon"]["id"], record["order_number"]) == ("unused", coupon.pk, None)
    assert answered(api.get(f"{V1}/coupons/mine/"))["results"] == [
        {**record, "coupon": {**record["coupon"], "remaining": 4}}
    ]


def test_campaigns_of_other_days_are_not_listed(api: Api) -> None:
    today = clock.shanghai_date(clock.now())
    make_coupon(value="1", open_date=today + timedelta(days=1))
    make_coupon(value="1", close_date=today - timedelta(days=1))
    assert answered(api.get(f"{V1}/coupons/"))["results"] == []


def test_mine_by_status_and_never_anothers(api: Api, buyer: Account) -> None:
    record = make_record(buyer)
    make_record(make_buyer())
    assert [row["id"] for row in answered(api.get(f"{V1}/coupons/mine/?status=unused"))["results"]] == [
        record.pk
    ]
    assert answered(api.get(f"{V1}/coupons/mine/?status=used"))["results"] == []


@pytest.mark.parametrize("query", ["status=lost", "page=x", "page_size=0", "page_size=101", "color=red"])
def test_invalid_filter(api: Api, query: str) -> None:
    assert refused(api.get(f"{V1}/coupons/mine/?{query}")) == (400, 1003, "invalid_input")


def test_unknown_campaign(api: Api) -> None:
    with nothing_changes():
        assert refused(api.post(f"{V1}/coupons/99999/claim/")) == (404, 1001, "coupon_not_found")


def test_second_claim(api: Api) -> None:
    coupon = make_coupon(value="1")
    api.post(f"{V1}/coupons/{coupon.pk}/claim/")
    with nothing_changes():
        assert refused(api.post(f"{V1}/coupons/{coupon.pk}/claim/")) == (409, 1122, "coupon_already_claimed")


@pytest.mark.django_db(transaction=True)
def test_sold_out(api: Api) -> None:
    coupon = make_coupon(value="1", quantity=1)
    Api(make_buyer()).post(f"{V1}/coupons/{coupon.pk}/claim/")
    with nothing_changes():
        assert refused(api.post(f"{V1}/coupons/{coupon.pk}/claim/")) == (409, 1121, "coupon_sold_out")
    assert CouponRecord.objects.count() == 1


def test_window_is_closed(api: Api) -> None:
    coupon = make_coupon(value="1", close_date=clock.shanghai_date(clock.now()) - timedelta(days=1))
    with nothing_changes():
        assert refused(api.post(f"{V1}/coupons/{coupon.pk}/claim/")) == (409, 1120, "coupon_not_open")


@pytest.mark.parametrize("path", ["", "mine/"])
def test_login_is_required(path: str) -> None:
    assert refused(Api().get(f"{V1}/coupons/{path}")) == (401, 1101, "not_authenticated")


def test_code_is_redeemed(api: Api, buyer: Account) -> None:
    coupon = make_coupon(value="10", is_code_only=True)
    [code] = codes.list_codes(
        batch=codes.make_codes(coupon_id=coupon.pk, count=1, staff=make_buyer(), now=clock.now())
    )
    record = answered(api.post(f"{V1}/coupons/redeem/", {"code": code}), 201)
    assert (record["coupon"]["id"], record["status"]) == (coupon.pk, "unused")
    with nothing_changes():
        assert refused(api.post(f"{V1}/coupons/redeem/", {"code": code})) == (
            404,
            1194,
            "coupon_code_not_found",
        )
        for body in (
            {},
            {"code": ""},
            {"code": 7.5},
            {"code": None},
            {"code": ["x"]},
            {"code": "x\x00"},
            {"code": "x" * 41},
        ):
            assert refused(api.post(f"{V1}/coupons/redeem/", body))[0] in {400, 404}
