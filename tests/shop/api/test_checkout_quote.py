"""`POST checkout/{id}/quote/`: the price of a selection by the checkout's snapshot."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rest_framework.test import APIClient

from shop import clock
from shop.domain.checkout import cart, checkouts
from shop.models import Account, Coupon, CouponRecord, Course, LedgerTransfer, PricePolicy
from shop.numbers import mint_number
from shop.states import CouponScope, CouponType, CourseStatus
from tests import factories
from tests.factories import make_buyer, make_order

pytestmark = pytest.mark.django_db


@dataclass
class Setting:
    """The worked example of the price rules: A ¥99.00 with 7.9折, B ¥59.90, 满100减20 on the whole, and 200
    贝里.
    """

    buyer: Account
    client: APIClient
    checkout_id: str
    course_a: int
    course_b: int
    percent: int
    threshold: int
    any_course: int
    later: int
    unreachable: int

    @property
    def url(self) -> str:
        return f"/api/v1/checkout/{self.checkout_id}/quote/"

    def post(self, coupon_a: int | None = None, coupon_b: int | None = None, **body: Any) -> Any:
        lines = [
            {"course_id": self.course_a, "coupon_record_id": coupon_a},
            {"course_id": self.course_b, "coupon_record_id": coupon_b},
        ]
        return self.client.post(self.url, {"course_price_list": lines, **body}, format="json")


def make_course(name: str, price: str) -> PricePolicy:
    course = Course.objects.create(
        name=name, course_img="/static/shop/covers/01.svg", status=CourseStatus.ONLINE
    )
    return PricePolicy.objects.create(course=course, valid_period=30, price=Decimal(price))


def give_coupon(buyer: Account, name: str, *, starts: date | None = None, **terms: Any) -> int:
    today = clock.shanghai_date(clock.now())
    dates = {
        "open_date": today,
        "close_date": today,
        "valid_begin_date": starts or today,
        "valid_end_date": today + timedelta(days=90),
    }
    coupon = Coupon.objects.create(name=name, quantity=10, **dates, **terms)
    return CouponRecord.objects.create(
        coupon=coupon,
        account=buyer,
        number=mint_number(clock.now()),
        claimed_at=clock.now(),
        valid_from_date=dates["valid_begin_date"],
        valid_until_date=dates["valid_end_date"],
    ).pk


@pytest.fixture
def setting() -> Setting:
    now = clock.now()
    buyer = make_buyer(beili=200)
    policy_a, policy_b = make_course("A", "99.00"), make_course("B", "59.90")
    records = {
        "percent": give_coupon(
            buyer,
            "七九折",
            coupon_type=CouponType.PERCENT,
            off_percent=79,
            scope=CouponScope.COURSE,
            course=policy_a.course,
        ),
        "threshold": give_coupon(
            buyer,
            "满百减廿",
            coupon_type=CouponType.THRESHOLD,
            minimum_consume=100,
            money_equivalent_value=20,
        ),
        "any_course": give_coupon(
            buyer,
            "任选",
            coupon_type=CouponType.FIXED,
            money_equivalent_value=5,
            scope=CouponScope.ANY_COURSE,
        ),
        "later": give_coupon(
            buyer,
            "以后",
            starts=clock.shanghai_date(now) + timedelta(days=3),
            coupon_type=CouponType.FIXED,
            money_equivalent_value=30,
        ),
        "unreachable": give_coupon(
            buyer,
            "满千减百",
            coupon_type=CouponType.THRESHOLD,
            minimum_consume=1000,
            money_equivalent_value=100,
        ),
    }
    for policy in (policy_a, policy_b):
        cart.add_to_cart(account=buyer, course_id=policy.course_id, policy_id=policy.pk, now=now)
    started = checkouts.start_checkout(
        account=buyer, course_ids=[policy_a.course_id, policy_b.course_id], now=now
    )
    checkouts.prepare_checkouts([started.checkout_id], now=now)
    client = APIClient()
    client.force_authenticate(buyer)
    return Setting(buyer, client, started.checkout_id, policy_a.course_id, policy_b.course_id, **records)


def test_worked_example(setting: Setting) -> None:
    response = setting.post(setting.percent, None, coupon_record_id=setting.threshold, balance=18)
    assert response.status_code == 200
    assert response.json()["data"]["quote"] == {
        "list_total": "158.90",
        "course_discount": "20.79",
        "global_discount": "20.00",
        "coupon_record_id": setting.threshold,
        "beili": 18,
        "beili_amount": "18.00",
        "beili_max": 118,
        "alipay": "100.11",
        "lines": [
            {
                "course_id": setting.course_a,
                "list_price": "99.00",
                "course_discount": "20.79",
                "global_discount": "11.33",
                "beili_amount": "10.19",
                "cash_amount": "56.69",
                "coupon_record_id": setting.percent,
            },
            {
                "course_id": setting.course_b,
                "list_price": "59.90",
                "course_discount": "0.00",
                "global_discount": "8.67",
                "beili_amount": "7.81",
                "cash_amount": "43.42",
                "coupon_record_id": 0,
            },
        ],
    }


def test_without_coupons_each_course_costs_its_price(setting: Setting) -> None:
    quote = setting.post().json()["data"]["quote"]
    assert (quote["alipay"], quote["beili"], quote["beili_max"]) == ("158.90", 0, 158)


def test_zero_stands_for_no_coupon(setting: Setting) -> None:
    assert setting.post(0, 0, coupon_record_id=0).json()["data"]["quote"]["alipay"] == "158.90"


def test_part_of_the_checkout_is_priced_alone(setting: Setting) -> None:
    body = {"course_price_list": [{"course_id": str(setting.course_b)}]}
    assert (
        setting.client.post(setting.url, body, format="json").json()["data"]["quote"]["list_total"] == "59.90"
    )


@pytest.mark.parametrize(("spent", "used"), [(0, 158), (100, 100)])
def test_more_beili_than_possible_are_cut(setting: Setting, spent: int, used: int) -> None:
    if spent:
        make_order(
            setting.buyer, factories.make_course("100.00"), beili=spent, alipay="0.00", now=clock.now()
        )
        setting.buyer.refresh_from_db()
    setting.client.force_authenticate(setting.buyer)
    quote = setting.post(balance=10_000).json()["data"]["quote"]
    assert (quote["beili"], quote["beili_max"]) == (used, 158)


def test_global_coupons_follow_the_subtotal(setting: Setting) -> None:
    body = {"course_price_list": [{"course_id": setting.course_b}]}
    coupons = setting.client.post(setting.url, body, format="json").json()["data"][
        "global_coupon_record_dict"
    ]
    shown = {
        key: (entry.get("applicable"), entry.get("reason"), entry.get("saving"))
        for key, entry in coupons.items()
    }
    assert shown == {
        "0": (None, None, None),
        str(setting.threshold): (False, "below_minimum", "0.00"),
        str(setting.later): (False, "not_yet_valid", "0.00"),
        str(setting.unreachable): (False, "below_minimum", "0.00"),
    }
    whole = setting.post().json()["data"]["global_coupon_record_dict"][str(setting.threshold)]
    assert (whole["applicable"], whole["reason"], whole["saving"]) == (True, None, "20.00")


@pytest.mark.parametrize(
    ("coupon_a", "coupon_b", "coupon_global", "slug", "reason"),
    [
        (None, "percent", None, "coupon_not_applicable", "other_course"),
        (None, None, "percent", "coupon_not_applicable", "not_a_global_coupon"),
        ("threshold", None, None, "coupon_not_applicable", "other_course"),
        (None, None, "unreachable", "coupon_not_applicable", "below_minimum"),
        (None, None, "later", "coupon_unavailable", None),
        ("any_course", "any_course", None, "coupon_unavailable", "twice_in_one_order"),
    ],
)
def test_coupon_that_cannot_be_used_is_refused(
    setting: Setting,
    coupon_a: str | None,
    coupon_b: str | None,
    coupon_global: str | None,
    slug: str,
    reason: str | None,
) -> None:
    ids = [getattr(setting, name) if name else None for name in (coupon_a, coupon_b, coupon_global)]
    response = setting.post(ids[0], ids[1], coupon_record_id=ids[2])
    assert (response.status_code, response.json()["error"]) == (409, slug)
    assert response.json()["details"].get("reason") == reason


def test_course_coupon_that_takes_nothing_off_is_refused(setting: Setting) -> None:
    dear = give_coupon(
        setting.buyer,
        "单课满减",
        coupon_type=CouponType.THRESHOLD,
        minimum_consume=500,
        money_equivalent_value=50,
        scope=CouponScope.ANY_COURSE,
    )
    now = clock.now()
    started = checkouts.start_checkout(
        account=setting.buyer, course_ids=[setting.course_a, setting.course_b], now=now
    )
    checkouts.prepare_checkouts([started.checkout_id], now=now)
    setting.checkout_id = started.checkout_id
    response = setting.post(dear)
    assert response.json()["details"] == {
        "coupon_record_id": dear,
        "course_id": setting.course_a,
        "reason": "below_minimum",
    }


def test_coupon_of_another_buyer_is_unknown(setting: Setting) -> None:
    other = Account.objects.create(username="other")
    theirs = give_coupon(other, "别人的", coupon_type=CouponType.FIXED, money_equivalent_value=5)
    response = setting.post(coupon_record_id=theirs)
    assert (response.status_code, response.json()["error"]) == (409, "coupon_unavailable")


def test_course_outside_the_checkout_is_refused(setting: Setting) -> None:
    stranger = make_course("C", "10.00")
    response = setting.client.post(
        setting.url, {"course_price_list": [{"course_id": stranger.course_id}]}, format="json"
    )
    assert (response.status_code, response.json()["error"]) == (409, "checkout_mismatch")


def test_pending_checkout_has_no_price(setting: Setting) -> None:
    started = checkouts.start_checkout(account=setting.buyer, course_ids=[setting.course_a], now=clock.now())
    setting.checkout_id = started.checkout_id
    response = setting.post()
    assert (response.status_code, response.json()["error"]) == (409, "checkout_not_ready")


def test_checkout_of_another_buyer_is_not_found(setting: Setting) -> None:
    setting.client.force_authenticate(Account.objects.create(username="other"))
    response = setting.post()
    assert (response.status_code, response.json()["error"]) == (404, "checkout_not_found")


@pytest.mark.parametrize(
    "change",
    [
        {"balance": -1},
        {"balance": 1.5},
        {"balance": True},
        {"coupon_record_id": "x"},
        {"course_price_list": []},
        {"course_price_list": [{"course_id": 0}]},
        {"course_price_list": [{"course_id": 1}, {"course_id": "1"}]},
        {"alipay": "1.00"},
    ],
)
def test_bad_input_is_a_400(setting: Setting, change: dict[str, Any]) -> None:
    response = setting.post(**change)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_input")


def test_nothing_is_written(setting: Setting) -> None:
    before = checkouts.get_checkout(account_id=setting.buyer.pk, checkout_id=setting.checkout_id)
    setting.post(setting.percent, None, coupon_record_id=setting.threshold, balance=18)
    assert checkouts.get_checkout(account_id=setting.buyer.pk, checkout_id=setting.checkout_id) == before
    assert Account.objects.get(pk=setting.buyer.pk).balance == 200
    assert set(CouponRecord.objects.values_list("status", flat=True)) == {"unused"}
    assert LedgerTransfer.objects.count() == 1  # the grant


def test_needs_a_login(setting: Setting) -> None:
    response = APIClient().post(setting.url, {}, format="json")
    assert (response.status_code, response.json()["error"]) == (401, "not_authenticated")
