"""Factories for rows: each takes what matters to the test and fills in the rest.

Rows that the domain creates are created by the domain's own functions.
"""

import itertools
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from shop.domain import ledger
from shop.domain.ordering import creation
from shop.domain.ordering.intake import place_order
from shop.domain.orders.fulfilment import finalise_orders
from shop.domain.purchase import LineChoice, Purchase
from shop.models import Account, Coupon, CouponRecord, Course, Order, OrderRequest, PricePolicy
from shop.states import CouponRecordStatus, CouponScope, CouponType, CourseStatus, CourseType

# A Monday, 12:00 in Shanghai.
NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
LONG_AGO, FAR_AHEAD = date(2020, 1, 1), date(2099, 12, 31)

_serial = itertools.count(1)


def make_buyer(*, beili: int = 0, username: str | None = None, password: str | None = None) -> Account:
    """A buyer with `beili` 贝里."""
    account = Account(username=username or f"buyer{next(_serial)}")
    if password:
        account.set_password(password)
    account.save()
    if beili:
        ledger.grant_beili(account=account, amount=beili, key=f"grant:{account.pk}", memo="发放", now=NOW)
        account.refresh_from_db()
    return account


def make_course(
    price: str = "99.00",
    *,
    period: int = 30,
    name: str | None = None,
    status: CourseStatus = CourseStatus.ONLINE,
    course_type: CourseType = CourseType.PAID,
    **fields: Any,
) -> Course:
    """A course with one price policy; even a VIP-only one, as if its type had been changed."""
    number = next(_serial)
    course = Course.objects.create(
        **{
            "name": name or f"课程{number}", "course_img": f"/img/{number}.png", "status": status,
            "course_type": course_type,
            "position": number, **fields,
        }
    )  # fmt: skip
    make_policy(course, price, period=period)
    return course


def make_policy(course: Course, price: str, *, period: int = 30) -> PricePolicy:
    return PricePolicy.objects.create(course=course, valid_period=period, price=Decimal(price))


def policy_of(course: Course) -> PricePolicy:
    """The course's first price policy."""
    policy = course.price_policies.first()
    assert policy is not None
    return policy


def make_coupon(
    kind: CouponType = CouponType.FIXED,
    value: str = "0",
    *,
    off_percent: int | None = None,
    minimum: str = "0",
    course: Course | None = None,
    scope: CouponScope | None = None,
    **fields: Any,
) -> Coupon:
    """A campaign, open and valid for decades by default, and global unless a course or a scope is given."""
    chosen_scope = scope or (CouponScope.COURSE if course else CouponScope.ORDER)
    dates = {
        "open_date": LONG_AGO,
        "close_date": FAR_AHEAD,
        "valid_begin_date": LONG_AGO,
        "valid_end_date": FAR_AHEAD,
    }
    return Coupon.objects.create(
        **{
            "name": f"活动{next(_serial)}",
            "coupon_type": kind,
            "money_equivalent_value": Decimal(value),
            "off_percent": off_percent,
            "minimum_consume": Decimal(minimum),
            "course": course,
            "scope": chosen_scope,
            "quantity": 100,
            **dates,
            **fields,
        }
    )


def make_record(account: Account, coupon: Coupon | None = None, **fields: Any) -> CouponRecord:
    """A buyer's coupon; by default unused, valid, and ¥10 off the whole order."""
    return CouponRecord.objects.create(
        **{
            "coupon": coupon or make_coupon(value="10"),
            "account": account,
            "number": f"R{next(_serial)}",
            "status": CouponRecordStatus.UNUSED,
            "claimed_at": NOW,
            "valid_from_date": LONG_AGO,
            "valid_until_date": FAR_AHEAD,
            **fields,
        }
    )


def make_purchase(
    *courses: Course,
    alipay: str | None = None,
    beili: int = 0,
    coupons: Mapping[int, CouponRecord] | None = None,
    global_coupon: CouponRecord | None = None,
    checkout_id: str | None = None,
    buy_again: bool = True,
) -> Purchase:
    """A purchase of each course with its first policy, even if it is in an unpaid order.

    `coupons` are by course id; `alipay` is the list price by default.
    """
    records = coupons or {}
    policies = [policy_of(course) for course in courses]
    return Purchase(
        lines=[
            LineChoice(course.pk, policy.pk, records[course.pk].pk if course.pk in records else None)
            for course, policy in zip(courses, policies, strict=True)
        ],
        coupon_record_id=global_coupon.pk if global_coupon else None,
        beili=beili,
        alipay=Decimal(alipay)
        if alipay is not None
        else sum((policy.price for policy in policies), Decimal("0.00")),
        checkout_id=checkout_id,
        buy_again=buy_again,
    )


def make_request(
    account: Account, *courses: Course, now: datetime = NOW, key: str | None = None, **choices: Any
) -> OrderRequest:
    """A stored request that no worker has processed yet."""
    purchase = make_purchase(*courses, **choices)
    request, _ = place_order(
        account=account,
        purchase=purchase,
        idempotency_key=key or f"key{next(_serial)}",
        request_id="test",
        now=now,
    )
    return request


def decide(*requests: OrderRequest, now: datetime = NOW) -> None:
    """Decides the requests like a worker, and reloads them."""
    creation.create_orders([request.pk for request in requests], now=now, cause="test")
    for request in requests:
        request.refresh_from_db()


def make_order(account: Account, *courses: Course, now: datetime = NOW, **choices: Any) -> Order:
    """An order as created by a worker."""
    request = make_request(account, *courses, now=now, **choices)
    decide(request, now=now)
    assert (request.status, request.error_slug, request.error_details) == ("created", "", {})
    return Order.objects.get(request=request)


def make_paid_order(account: Account, *courses: Course, now: datetime = NOW, **choices: Any) -> Order:
    """A paid order, finalised without a gateway."""
    order = make_order(account, *courses, now=now, **choices)
    finalise(order, now=now)
    return order


def finalise(order: Order, *, now: datetime = NOW) -> None:
    """Finalises the order as paid."""
    with transaction.atomic():
        finalise_orders([order], now=now, cause="test")
