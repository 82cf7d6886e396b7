"""A checkout's stored snapshot is read back unchanged, and never mistaken for another version's."""

import base64
import json
import zlib
from datetime import date
from decimal import Decimal

import pytest
import redis

from shop.api.checkoutoutput import checkout_body
from shop.domain.checkout import checkouts
from shop.domain.checkout.snapshot import ChosenQuote, CouponOption, CourseOption, Refusal, Result, Snapshot
from shop.domain.pricing.rules import CouponTerms, LineInput, price_order
from shop.errors import CheckoutExpired
from shop.states import CouponType
from tests.factories import NOW, make_buyer, make_course, make_request
from tests.shop.domain.checkout.test_cart import add
from tests.unchanged import nothing_changes

TERMS = CouponTerms(CouponType.PERCENT, Decimal("0.00"), 79, Decimal("0.00"))
OPTION = CouponOption(7, "专享", TERMS, date(2026, 3, 1), date(2026, 3, 31), Decimal("20.79"), None)
QUOTE = price_order([LineInput(1, Decimal("99.00"), TERMS)], None, beili=0, beili_per_yuan=1)
SNAPSHOT = Snapshot(
    balance=18,
    beili_per_yuan=1,
    courses=(CourseOption(1, "甲", "/a.png", 2, Decimal("99.00"), 30, (OPTION,), None),),
    global_coupons=(
        CouponOption(8, "以后", TERMS, date(2026, 4, 1), date(2026, 4, 30), Decimal("0.00"), "not_yet_valid"),
    ),
    suggested=ChosenQuote(QUOTE, {1: 7}, None),
)


@pytest.mark.parametrize(
    "result",
    [
        Result(snapshot=SNAPSHOT),
        Result(refusal=Refusal("course_not_in_cart", "所选课程不在购物车中。", {"course_ids": [1]})),
    ],
)
def test_what_is_stored_is_read_again(result: Result) -> None:
    assert Result.from_json(result.to_json()) == result


def test_coupon_of_later_days_stays_as_it_is_beside_any_amount() -> None:
    (later,) = SNAPSHOT.global_coupons
    assert later.beside(Decimal("50.00")) == later
    assert OPTION.beside(Decimal("50.00")).saving == Decimal("10.50")
    assert OPTION.beside(Decimal("0.00")).reason == "nothing_left"


@pytest.mark.django_db
def test_checkout_that_an_older_version_priced_is_pending_and_priced_again(valkey: redis.Redis) -> None:
    """While web processes and workers of two versions run together, and until the older one's checkouts have
    expired.
    """
    buyer, course = make_buyer(), make_course("99.00")
    add(buyer, course)
    started = checkouts.start_checkout(account=buyer, course_ids=[course.pk], now=NOW)
    older = {
        "status": "ready",
        "balance": 0,
        "beili_per_yuan": 1,
        "payment_list": {"policy_course_dict": {}},
        "quote": {"alipay": "1.00"},
    }
    stored = base64.b64encode(zlib.compress(json.dumps(older).encode()))
    valkey.set(f"checkout:{started.checkout_id}:result", stored)
    # A request in the older version's format.
    asked = {
        "account_id": buyer.pk,
        "course_ids": [course.pk],
        "created_at": NOW.isoformat(),
        "expires_at": started.expires_at.isoformat(),
    }
    valkey.set(f"checkout:{started.checkout_id}", json.dumps(asked), ex=60)

    found = checkouts.get_checkout(account_id=buyer.pk, checkout_id=started.checkout_id)
    assert (checkout_body(found).status, found) == ("pending", started)
    with nothing_changes(), pytest.raises(CheckoutExpired):
        make_request(buyer, course, checkout_id=started.checkout_id)
    checkouts.prepare_checkouts([started.checkout_id], now=NOW)
    found = checkouts.get_checkout(account_id=buyer.pk, checkout_id=started.checkout_id)
    assert found.snapshot is not None
    assert found.snapshot.suggested.quote.cash_due == Decimal("99.00")
    make_request(buyer, course, checkout_id=started.checkout_id)
