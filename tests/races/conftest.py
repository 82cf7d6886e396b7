"""Fixtures for races: a course, buyers, coupons."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from shop import clock
from shop.domain import ledger
from shop.domain.ordering import intake
from shop.domain.purchase import LineChoice, Purchase
from shop.models import Account, Coupon, Course, OrderRequest, PricePolicy
from shop.states import CouponScope, CouponType, CourseStatus

# The threads' connections commit by themselves, so tests aren't rolled back but the tables emptied
# afterwards.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def now() -> datetime:
    """A fixed moment.

    Not the present, for which PostgreSQL's own clock would be used.
    """
    return clock.now() - timedelta(hours=2)


@pytest.fixture
def policy(transactional_db: None) -> PricePolicy:
    """¥30 for a month."""
    course = Course.objects.create(
        name="并发", brief="", position=1, status=CourseStatus.ONLINE, course_img="/x.svg"
    )
    return PricePolicy.objects.create(
        course=course, valid_period=PricePolicy.Period.MONTH_1, price=Decimal("30.00")
    )


@pytest.fixture
def make_buyers(transactional_db: None, now: datetime) -> Callable[..., list[Account]]:
    def make(count: int, *, beili: int = 0) -> list[Account]:
        buyers = Account.objects.bulk_create([Account(username=f"racer{number}") for number in range(count)])
        if beili:
            for buyer in buyers:
                ledger.grant_beili(account=buyer, amount=beili, key=f"grant:{buyer.pk}", memo="", now=now)
        return buyers

    return make


@pytest.fixture
def campaign(transactional_db: None, now: datetime) -> Coupon:
    """¥10 off an order, with a quantity of one."""
    today = clock.shanghai_date(now)
    return Coupon.objects.create(
        name="最后一张",
        coupon_type=CouponType.FIXED,
        money_equivalent_value=Decimal("10.00"),
        scope=CouponScope.ORDER,
        quantity=1,
        open_date=today,
        close_date=today + timedelta(days=1),
        coupon_valid_days=7,
    )


@pytest.fixture
def place(policy: PricePolicy, now: datetime) -> Callable[..., OrderRequest]:
    """Stores a buyer's request for the course."""

    def place(
        buyer: Account, key: str, *, beili: int = 0, coupon_record_id: int | None = None, off: int = 0
    ) -> OrderRequest:
        purchase = Purchase(
            lines=[LineChoice(policy.course_id, policy.pk, None)],
            coupon_record_id=coupon_record_id,
            beili=beili,
            alipay=policy.price - beili - off,
            checkout_id=None,
            buy_again=True,
        )
        request, _ = intake.place_order(
            account=buyer, purchase=purchase, idempotency_key=key, request_id="race", now=now
        )
        return request

    return place
