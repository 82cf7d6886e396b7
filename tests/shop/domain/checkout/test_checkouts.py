"""Checkout."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
import redis
from pytest_django import Settings

from shop.api.checkoutoutput import checkout_body
from shop.api.wire import as_builtins
from shop.domain.checkout import checkouts
from shop.domain.checkout.checkouts import prepare_checkouts, start_checkout
from shop.errors import CheckoutNotFound, TooManyRequests
from shop.models import Account, Course, PricePolicy
from shop.states import CouponRecordStatus, CouponScope, CouponType, CourseStatus
from shop.valkey import DUE_CHECKOUTS, queued_key
from tests.factories import (
    FAR_AHEAD,
    LONG_AGO,
    NOW,
    make_buyer,
    make_coupon,
    make_course,
    make_order,
    make_record,
    policy_of,
)
from tests.shop.domain.checkout.test_cart import add
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
NO_COUPON = {"id": 0, "text": "请选择优惠券"}


def shown(found: checkouts.Checkout) -> Any:
    """A checkout's result as its buyer sees it."""
    body = as_builtins(checkout_body(found))
    return {name: value for name, value in body.items() if name not in ("checkout_id", "expires_at")}


def result_of(buyer: Account, *courses: Course) -> Any:
    """Puts the courses in the cart, checks them out, and returns what the buyer sees."""
    for course in courses:
        add(buyer, course)
    started = start_checkout(account=buyer, course_ids=[course.pk for course in courses], now=NOW)
    prepare_checkouts([started.checkout_id], now=NOW)
    return shown(checkouts.get_checkout(account_id=buyer.pk, checkout_id=started.checkout_id))


def test_started_checkout_is_pending_and_the_latest(settings: Settings, valkey: redis.Redis) -> None:
    buyer = make_buyer()
    started = start_checkout(account=buyer, course_ids=[1, 2], now=NOW)
    assert checkouts.get_latest_checkout(account_id=buyer.pk) == started
    assert (started.result, started.expires_at) == (None, NOW + timedelta(seconds=settings.CHECKOUT_TTL_S))
    assert (
        settings.CHECKOUT_TTL_S - 5
        <= valkey.ttl(f"checkout:{started.checkout_id}")
        <= settings.CHECKOUT_TTL_S
    )


def test_worked_example() -> None:
    buyer, a, b = (
        make_buyer(beili=18),
        make_course("99.00", name="A"),
        make_course("59.90", name="B", period=360),
    )
    percent = make_record(buyer, make_coupon(CouponType.PERCENT, off_percent=79, course=a, name="A 专享"))
    minus_20 = make_record(buyer, make_coupon(CouponType.THRESHOLD, "20", minimum="100", name="满减"))
    assert result_of(buyer, a, b) == {
        "status": "ready",
        "balance": 18,
        "beili_per_yuan": 1,
        "payment_list": {
            "policy_course_dict": {
                str(a.pk): {
                    "course_id": a.pk,
                    "course_name": "A",
                    "course_img": a.course_img,
                    "policy_id": policy_of(a).pk,
                    "policy_price": "99.00",
                    "policy_period": "1个月",
                    "policy_valid_period": 30,
                    "unpaid_order_number": None,
                    "coupon_record_list": [
                        NO_COUPON,
                        {
                            "id": percent.pk,
                            "name": "A 专享",
                            "text": "A 专享（7.9折）",
                            "coupon_type": 2,
                            "money_equivalent_value": "0.00",
                            "off_percent": 79,
                            "minimum_consume": "0.00",
                            "valid_from": LONG_AGO.isoformat(),
                            "valid_until": FAR_AHEAD.isoformat(),
                            "applicable": True,
                            "reason": None,
                            "saving": "20.79",
                        },
                    ],
                },
                str(b.pk): {
                    "course_id": b.pk,
                    "course_name": "B",
                    "course_img": b.course_img,
                    "policy_id": policy_of(b).pk,
                    "policy_price": "59.90",
                    "policy_period": "12个月",
                    "policy_valid_period": 360,
                    "unpaid_order_number": None,
                    "coupon_record_list": [NO_COUPON],
                },
            },
            "global_coupon_record_dict": {
                "0": NO_COUPON,
                str(minus_20.pk): {
                    "id": minus_20.pk,
                    "name": "满减",
                    "text": "满减（满100减20）",
                    "coupon_type": 1,
                    "money_equivalent_value": "20.00",
                    "off_percent": None,
                    "minimum_consume": "100.00",
                    "valid_from": LONG_AGO.isoformat(),
                    "valid_until": FAR_AHEAD.isoformat(),
                    "applicable": True,
                    "reason": None,
                    "saving": "20.00",
                },
            },
        },
        "quote": {
            "list_total": "158.90",
            "course_discount": "20.79",
            "global_discount": "20.00",
            "coupon_record_id": minus_20.pk,
            "beili": 0,
            "beili_amount": "0.00",
            "beili_max": 118,
            "alipay": "118.11",
            "lines": [
                {
                    "course_id": a.pk,
                    "list_price": "99.00",
                    "course_discount": "20.79",
                    "global_discount": "11.33",
                    "beili_amount": "0.00",
                    "cash_amount": "66.88",
                    "coupon_record_id": percent.pk,
                },
                {
                    "course_id": b.pk,
                    "list_price": "59.90",
                    "course_discount": "0.00",
                    "global_discount": "8.67",
                    "beili_amount": "0.00",
                    "cash_amount": "51.23",
                    "coupon_record_id": 0,
                },
            ],
        },
    }


def test_suggested_quote_can_be_ordered_as_it_is() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    record = make_record(buyer)
    quote = result_of(buyer, course)["quote"]
    assert quote["coupon_record_id"] == record.pk
    assert make_order(buyer, course, global_coupon=record, alipay=quote["alipay"]).cash_due == 89


@pytest.mark.parametrize(
    ("coupon", "dates", "reason"),
    [
        ({"kind": CouponType.THRESHOLD, "value": "20", "minimum": "100"}, {}, "below_minimum"),
        ({"value": "5"}, {"valid_from_date": date(2026, 3, 3)}, "not_yet_valid"),
    ],
)
@pytest.mark.parametrize("scope", [CouponScope.ORDER, CouponScope.ANY_COURSE])
def test_coupon_that_does_not_apply_is_listed_with_the_reason(
    coupon: dict[str, Any], dates: dict[str, Any], reason: str, scope: CouponScope
) -> None:
    buyer, course = make_buyer(), make_course("99.00")
    record = make_record(buyer, make_coupon(**coupon, scope=scope), **dates)
    result = result_of(buyer, course)
    if scope == CouponScope.ORDER:
        entry = result["payment_list"]["global_coupon_record_dict"][str(record.pk)]
    else:
        entry = result["payment_list"]["policy_course_dict"][str(course.pk)]["coupon_record_list"][1]
    assert (entry["applicable"], entry["reason"], entry["saving"]) == (False, reason, "0.00")
    assert result["quote"]["alipay"] == "99.00"


def test_coupons_that_are_taken_over_or_another_buyers_are_not_listed() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    make_record(buyer, status=CouponRecordStatus.EXPIRED)
    make_record(buyer, valid_until_date=date(2026, 3, 1))
    make_record(make_buyer())
    make_record(buyer, make_coupon(value="5", course=make_course()))
    reserved = make_record(buyer)
    make_order(buyer, make_course("99.00"), global_coupon=reserved, alipay="89.00")
    result = result_of(buyer, course)
    assert result["payment_list"]["global_coupon_record_dict"] == {"0": NO_COUPON}
    assert result["payment_list"]["policy_course_dict"][str(course.pk)]["coupon_record_list"] == [NO_COUPON]


def test_price_is_read_again() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    add(buyer, course)
    PricePolicy.objects.update(price="100.00")
    started = start_checkout(account=buyer, course_ids=[course.pk], now=NOW)
    prepare_checkouts([started.checkout_id], now=NOW)
    result = shown(checkouts.get_checkout(account_id=buyer.pk, checkout_id=started.checkout_id))
    assert result["quote"]["alipay"] == "100.00"


def failure_of(buyer: Account, course: Course) -> Any:
    started = start_checkout(account=buyer, course_ids=[course.pk], now=NOW)
    prepare_checkouts([started.checkout_id], now=NOW)
    result = shown(checkouts.get_checkout(account_id=buyer.pk, checkout_id=started.checkout_id))
    assert result["status"] == "failed"
    return result["error"]


def test_course_that_is_not_in_the_cart_fails() -> None:
    buyer, course = make_buyer(), make_course()
    error = failure_of(buyer, course)
    assert (error["error"], error["code"], error["details"]) == (
        "course_not_in_cart",
        1001,
        {"course_ids": [course.pk]},
    )


def test_course_that_went_offline_fails() -> None:
    buyer, course = make_buyer(), make_course()
    add(buyer, course)
    Course.objects.update(status=CourseStatus.OFFLINE)
    assert failure_of(buyer, course)["error"] == "course_not_on_sale"


def test_policy_that_is_gone_fails() -> None:
    buyer, course = make_buyer(), make_course()
    add(buyer, course)
    policy_of(course).delete()
    assert failure_of(buyer, course)["error"] == "policy_not_found"


def test_policy_that_moved_to_another_course_fails() -> None:
    buyer, course = make_buyer(), make_course()
    add(buyer, course)
    PricePolicy.objects.filter(course=course).update(course=make_course(), valid_period=90)
    assert failure_of(buyer, course)["error"] == "policy_not_found"


def test_second_run_changes_nothing() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    result_of(buyer, course)
    started = checkouts.get_latest_checkout(account_id=buyer.pk)
    PricePolicy.objects.update(price="1.00")
    with nothing_changes():
        prepare_checkouts([started.checkout_id], now=NOW)


def test_preparing_an_expired_checkout_changes_nothing() -> None:
    with nothing_changes():
        prepare_checkouts(["X" * 30], now=NOW)


def test_result_ends_with_its_checkout(valkey: redis.Redis) -> None:
    buyer, course = make_buyer(), make_course()
    add(buyer, course)
    started = start_checkout(account=buyer, course_ids=[course.pk], now=NOW)
    valkey.expire(f"checkout:{started.checkout_id}", 60)
    prepare_checkouts([started.checkout_id], now=NOW)
    assert 55 <= valkey.ttl(f"checkout:{started.checkout_id}:priced") <= 60


def test_buyer_keeps_a_few_checkouts_and_the_oldest_go(settings: Settings, valkey: redis.Redis) -> None:
    """However many a buyer starts, and however far the workers are behind."""
    settings.MAX_CHECKOUTS = 2
    buyer, course = make_buyer(), make_course()
    add(buyer, course)
    started = [start_checkout(account=buyer, course_ids=[course.pk], now=NOW) for _ in range(3)]
    prepare_checkouts([one.checkout_id for one in started], now=NOW)
    started.append(start_checkout(account=buyer, course_ids=[course.pk], now=NOW))
    found = [checkouts.find_checkout(one.checkout_id) for one in started]
    assert [one is not None for one in found] == [False, False, True, True]
    kept = {f"checkout:{one.checkout_id}" for one in started[2:]} | {
        f"checkout:{started[2].checkout_id}:priced",
        "checkout:due",
    }
    kept |= {f"checkout:{one.checkout_id}:queued" for one in started[2:]}  # for two seconds
    assert set(valkey.keys("checkout:*")) == {key.encode() for key in kept}
    assert checkouts.get_latest_checkout(account_id=buyer.pk).checkout_id == started[3].checkout_id


def test_replaced_while_it_is_priced_leaves_nothing(
    settings: Settings, valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MAX_CHECKOUTS = 1
    buyer, course = make_buyer(), make_course()
    add(buyer, course)
    started = start_checkout(account=buyer, course_ids=[course.pk], now=NOW)
    read = checkouts._read_batch

    def read_and_be_overtaken(*args: Any, **kwargs: Any) -> Any:
        start_checkout(account=buyer, course_ids=[course.pk], now=NOW)
        return read(*args, **kwargs)

    monkeypatch.setattr(checkouts, "_read_batch", read_and_be_overtaken)
    prepare_checkouts([started.checkout_id], now=NOW)
    assert valkey.keys(f"checkout:{started.checkout_id}*") == []


def test_large_result_is_stored_small(valkey: redis.Redis) -> None:
    """Ten courses and twenty coupons that fit each of them."""
    buyer, courses = make_buyer(), [make_course() for _ in range(10)]
    for number in range(20):
        make_record(buyer, make_coupon(value=str(number + 1), scope=CouponScope.ANY_COURSE))
    result = result_of(buyer, *courses)
    (key,) = valkey.keys("checkout:*:priced")
    assert len(json.dumps(result, ensure_ascii=False).encode()) > 50_000
    assert valkey.strlen(key) < 6_000


def test_checkouts_have_a_rate(settings: Settings, valkey: redis.Redis) -> None:
    settings.LIMITS = {**settings.LIMITS, "checkouts": (2, 60)}
    buyer = make_buyer()
    for _ in range(2):
        start_checkout(account=buyer, course_ids=[1], now=NOW)
    with nothing_changes(), pytest.raises(TooManyRequests) as refusal:
        start_checkout(account=buyer, course_ids=[1], now=NOW)
    assert refusal.value.details["limit"] == "checkouts"
    assert start_checkout(account=make_buyer(), course_ids=[1], now=NOW)


def test_asking_for_a_stalled_checkout_fills_nothing(valkey: redis.Redis) -> None:
    started = start_checkout(account=make_buyer(), course_ids=[1], now=NOW)
    for _ in range(50):
        checkouts.queue_if_stalled(started)
    assert valkey.llen(DUE_CHECKOUTS) == 1
    valkey.delete(queued_key(started.checkout_id))  # as after two seconds
    for _ in range(50):
        checkouts.queue_if_stalled(started)
    assert valkey.llen(DUE_CHECKOUTS) == 2


def test_two_checkouts_of_one_buyer_stand_beside_each_other() -> None:
    buyer, course, other = make_buyer(), make_course("1.00"), make_course("2.00")
    first = result_of(buyer, course)
    second = result_of(buyer, other)
    assert (first["quote"]["alipay"], second["quote"]["alipay"]) == ("1.00", "2.00")


def test_checkout_is_its_buyers_only() -> None:
    started = start_checkout(account=make_buyer(), course_ids=[1], now=NOW)
    with pytest.raises(CheckoutNotFound):
        checkouts.get_checkout(account_id=make_buyer().pk, checkout_id=started.checkout_id)


def test_there_may_be_no_latest_checkout() -> None:
    with pytest.raises(CheckoutNotFound):
        checkouts.get_latest_checkout(account_id=make_buyer().pk)


def test_pending_checkout_stalls_after_two_seconds_of_valkeys(valkey: redis.Redis) -> None:
    """Whatever the clocks of the processes that accepted and read it show."""
    buyer, course = make_buyer(), make_course()
    by_hour = [
        start_checkout(account=buyer, course_ids=[course.pk], now=NOW + timedelta(hours=hours))
        for hours in (-1, 0, 1)
    ]
    assert [checkouts.queue_if_stalled(started) for started in by_hour] == [False] * 3
    assert valkey.llen(DUE_CHECKOUTS) == 3
    for started in by_hour:
        assert 1500 < valkey.pttl(queued_key(started.checkout_id)) <= 2000
        valkey.delete(queued_key(started.checkout_id))  # as after two seconds
    assert [checkouts.queue_if_stalled(started) for started in by_hour] == [True] * 3
    assert [checkouts.queue_if_stalled(started) for started in by_hour] == [False] * 3
    assert valkey.llen(DUE_CHECKOUTS) == 6


def test_priced_checkout_is_not_queued_again(valkey: redis.Redis) -> None:
    buyer, course = make_buyer(), make_course()
    add(buyer, course)
    started = start_checkout(account=buyer, course_ids=[course.pk], now=NOW)
    prepare_checkouts([started.checkout_id], now=NOW)
    valkey.delete(queued_key(started.checkout_id))
    assert not checkouts.queue_if_stalled(checkouts.get_latest_checkout(account_id=buyer.pk))
    assert valkey.llen(DUE_CHECKOUTS) == 1


def test_statements_do_not_grow_with_the_coupons(django_assert_max_num_queries: Any) -> None:
    buyer, courses = make_buyer(), [make_course() for _ in range(3)]
    for course in courses:
        add(buyer, course)
        for _ in range(3):
            make_record(buyer, make_coupon(value="1", course=course))
    started = start_checkout(account=buyer, course_ids=[course.pk for course in courses], now=NOW)
    with django_assert_max_num_queries(3):
        prepare_checkouts([started.checkout_id], now=NOW)


def test_batch_has_the_results_of_one_by_one(django_assert_num_queries: Any) -> None:
    """Buyers with different carts, coupons and 贝里, one of them with a course that is off sale, one with an
    empty cart.
    """
    courses = [make_course("100.00"), make_course("50.00"), make_course("10.00")]
    coupon = make_coupon(CouponType.PERCENT, off_percent=80)
    buyers = [make_buyer(beili=number) for number in range(5)]
    for number, buyer in enumerate(buyers[:4]):
        for course in courses[: number + 1]:
            add(buyer, course)
        make_record(buyer, coupon)
    Course.objects.filter(pk=courses[2].pk).update(status=CourseStatus.OFFLINE)
    chosen = [[course.pk for course in courses[: number + 1]] for number in range(5)]
    alone = [
        start_checkout(account=buyer, course_ids=ids, now=NOW)
        for buyer, ids in zip(buyers, chosen, strict=True)
    ]
    together = [
        start_checkout(account=buyer, course_ids=ids, now=NOW)
        for buyer, ids in zip(buyers, chosen, strict=True)
    ]
    for started in alone:
        prepare_checkouts([started.checkout_id], now=NOW)
    with django_assert_num_queries(3):
        prepare_checkouts([started.checkout_id for started in together], now=NOW)

    def results(started: list[checkouts.Checkout]) -> list[Any]:
        return [
            shown(checkouts.get_checkout(account_id=one.account_id, checkout_id=one.checkout_id))
            for one in started
        ]

    assert results(together) == results(alone)
    assert [result["status"] for result in results(together)] == [
        "ready",
        "ready",
        "failed",
        "failed",
        "failed",
    ]


def test_due_checkouts_are_prepared_until_none_is_left(valkey: redis.Redis) -> None:
    course = make_course()
    for _ in range(checkouts.BATCH_SIZE + 1):
        buyer = make_buyer()
        add(buyer, course)
        start_checkout(account=buyer, course_ids=[course.pk], now=NOW)
    checkouts.prepare_due_checkouts(now=NOW)
    assert valkey.llen(DUE_CHECKOUTS) == 0
    assert len(valkey.keys("checkout:*:priced")) == checkouts.BATCH_SIZE + 1
