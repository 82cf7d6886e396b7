"""A purchase and its stored body: one format each, and older versions' formats are still read."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.domain.pricing.rules import CouponTerms
from shop.domain.purchase import LineChoice, Purchase, Shown
from shop.models import Order, OrderRequest
from shop.states import CouponType, OrderRequestStatus
from tests.factories import (
    NOW,
    decide,
    make_buyer,
    make_coupon,
    make_course,
    make_record,
    make_request,
    policy_of,
)

IDS = st.integers(1, 10**18 - 1)
YUAN = st.decimals(0, 10**9, places=2)
TERMS = st.builds(CouponTerms, st.sampled_from(CouponType), YUAN, st.none() | st.integers(1, 99), YUAN)
SHOWN = st.builds(
    Shown,
    st.dictionaries(IDS, YUAN, max_size=3),
    st.dictionaries(IDS, st.integers(1, 720), max_size=3),
    st.dictionaries(IDS, TERMS, max_size=3),
)
LINES = st.builds(LineChoice, IDS, IDS, st.none() | IDS, st.none() | st.integers(1, 720))
PURCHASES = st.builds(
    Purchase, st.lists(LINES, min_size=1, max_size=4), st.none() | IDS, st.integers(0, 10**12), YUAN,
    st.none() | st.just("20260302A"),
    st.booleans(), st.none() | SHOWN,
)  # fmt: skip


@given(PURCHASES)
def test_what_is_stored_is_read_again(purchase: Purchase) -> None:
    assert Purchase.from_json(purchase.to_json()) == purchase


@given(PURCHASES)
def test_what_a_checkout_showed_is_no_part_of_the_fingerprint(purchase: Purchase) -> None:
    bare = Purchase(
        purchase.lines,
        purchase.coupon_record_id,
        purchase.beili,
        purchase.alipay,
        purchase.checkout_id,
        purchase.buy_again,
    )
    assert bare.fingerprint == purchase.fingerprint


def test_fingerprint_is_the_one_that_older_versions_gave() -> None:
    """A request from before a release may be repeated after it."""
    purchase = Purchase(
        [LineChoice(1, 2, None), LineChoice(3, 4, 5, 30)],
        6,
        7,
        Decimal("310.20"),
        "20260302A",
        buy_again=True,
    )
    assert purchase.fingerprint == "c2a278b392ca4402c958899889f4aa9498bfd654db4f20a1001d68b83a0bc1cf"


# The formats of older versions.
STORED: dict[str, dict[str, Any]] = {
    "without a checkout": {"prices_seen": None},
    "with prices": {"prices_seen": {"course": "99.00"}},
    "with periods": {"prices_seen": {"course": "99.00"}, "periods_seen": {"course": 30}},
    "with terms": {
        "prices_seen": {"course": "99.00"},
        "periods_seen": {"course": 30},
        "coupons_seen": {"record": [0, "10.00", None, "0.00"]},
    },
}


def stored_body(line: list[Any], record_id: int, seen: dict[str, Any]) -> dict[str, Any]:
    names = {"course": str(line[0]), "record": str(record_id)}
    shown = {
        what: found and {names[name]: value for name, value in found.items()} for what, found in seen.items()
    }
    return {
        "lines": [line],
        "coupon_record_id": record_id,
        "beili": 0,
        "alipay": "89.00",
        "checkout_id": None,
        **shown,
    }


@pytest.mark.django_db
@pytest.mark.parametrize("version", STORED)
def test_request_of_an_older_version_still_becomes_an_order(version: str) -> None:
    buyer, course = make_buyer(), make_course("99.00")
    record = make_record(buyer, make_coupon(value="10"))
    request = make_request(buyer, course, global_coupon=record, alipay="89.00")
    body = stored_body([course.pk, policy_of(course).pk, None], record.pk, STORED[version])
    OrderRequest.objects.filter(pk=request.pk).update(body=body)
    decide(request, now=NOW)
    assert (request.status, Order.objects.get().cash_due) == (OrderRequestStatus.CREATED, Decimal("89.00"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "seen",
    [
        {"prices_seen": {"course": "98.00"}},
        {"prices_seen": {"course": "99.00"}, "periods_seen": {"course": 60}},
    ],
)
def test_older_request_is_held_to_what_it_was_shown(seen: dict[str, Any]) -> None:
    buyer, course = make_buyer(), make_course("99.00")
    record = make_record(buyer, make_coupon(value="10"))
    request = make_request(buyer, course, global_coupon=record, alipay="89.00")
    OrderRequest.objects.filter(pk=request.pk).update(
        body=stored_body([course.pk, policy_of(course).pk, None], record.pk, seen)
    )
    decide(request, now=NOW)
    assert (request.status, request.error_slug, Order.objects.count()) == (
        OrderRequestStatus.REJECTED,
        "quote_changed",
        0,
    )
