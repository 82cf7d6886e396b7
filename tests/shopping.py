"""A buyer's steps through the HTTP API, with the workers' part done immediately."""

import itertools
from typing import Any

from shop.models import Account, CouponRecord, Course, Order
from shop.tasks import create_orders, prepare_checkouts
from tests.clients import Api, answered
from tests.factories import policy_of

V1 = "/api/v1"
_keys = itertools.count(1)


def put_in_cart(api: Api, *courses: Course) -> None:
    for course in courses:
        answered(api.post(f"{V1}/cart/", {"course_id": course.pk, "policy_id": policy_of(course).pk}))


def check_out(api: Api, *courses: Course) -> dict[str, Any]:
    """The priced checkout of courses that are in the cart."""
    started = answered(api.post(f"{V1}/checkout/", {"course_list": [course.pk for course in courses]}), 202)
    prepare_checkouts()
    priced: dict[str, Any] = answered(api.get(started["url"]))
    return priced


def body_of(*courses: Course, alipay: Any, **more: Any) -> dict[str, Any]:
    """An order's body without course coupons."""
    lines = [
        {"course_id": course.pk, "policy_id": policy_of(course).pk, "coupon_record_id": 0}
        for course in courses
    ]
    return {"course_price_list": lines, "alipay": alipay, **more}


def with_coupon(body: dict[str, Any], record: CouponRecord | int, line: int = 0) -> dict[str, Any]:
    """The same body with a course coupon on one of its lines."""
    body["course_price_list"][line]["coupon_record_id"] = record if isinstance(record, int) else record.pk
    return body


def post_order(api: Api, body: Any, key: str | None = None) -> Any:
    return api.post(f"{V1}/orders/", body, headers={"Idempotency-Key": key or f"key-{next(_keys)}"})


def order_of(api: Api, body: Any, key: str | None = None) -> dict[str, Any]:
    """Places an order and lets the worker decide it; returns what the buyer then sees."""
    placed = answered(post_order(api, body, key), 202)
    create_orders()
    seen: dict[str, Any] = answered(api.get(placed["url"]))
    return seen


def balances(account: Account) -> tuple[int, int]:
    return Account.objects.values_list("balance", "held_balance").get(pk=account.pk)


def the_order() -> Order:
    """The only order."""
    return Order.objects.get()
