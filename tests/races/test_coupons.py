"""A campaign's last coupon, and one coupon on many orders."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import pytest

from shop.clock import shanghai_date
from shop.domain.coupons import coupons
from shop.domain.ordering import creation
from shop.domain.ordering.order_batch import PendingRequest, World
from shop.models import Account, Coupon, CouponRecord, Order, OrderRequest, PricePolicy
from shop.numbers import mint_number
from shop.states import OrderRequestStatus
from tests.guards import unguarded
from tests.invariants import InvariantBrokenError, check_invariants, query_django
from tests.races.crowd import PATIENCE_S, count_kinds, run_at_once

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

CROWD = 50


def test_last_coupon_goes_to_exactly_one_of_fifty_buyers(
    campaign: Coupon, make_buyers: Callable[..., list[Account]], now: datetime
) -> None:
    buyers = make_buyers(CROWD)
    results = run_at_once(
        [partial(coupons.claim_coupon, account=buyer, coupon_id=campaign.pk, now=now) for buyer in buyers]
    )

    assert count_kinds(results) == {"ok": 1, "CouponSoldOut": CROWD - 1}
    campaign.refresh_from_db()
    assert (campaign.claimed_count, CouponRecord.objects.count()) == (1, 1)
    check_invariants(query_django)


def test_control_reading_the_count_first_gives_the_last_coupon_to_many(
    campaign: Coupon, make_buyers: Callable[..., list[Account]], now: datetime
) -> None:
    """The same race without guards, with the count read and written back."""
    buyers = make_buyers(CROWD)
    all_have_read = threading.Barrier(CROWD, timeout=PATIENCE_S)

    def claim_naively(buyer: Account) -> CouponRecord:
        coupon = Coupon.objects.get(pk=campaign.pk)
        all_have_read.wait()
        assert coupon.claimed_count < coupon.quantity
        record = CouponRecord.objects.create(
            coupon=coupon,
            account=buyer,
            number=mint_number(now),
            claimed_at=now,
            valid_from_date=shanghai_date(now),
            valid_until_date=shanghai_date(now),
        )
        coupon.claimed_count += 1
        coupon.save(update_fields=["claimed_count"])
        return record

    with unguarded("shop_couponrecord", "counts_claims"), unguarded("shop_coupon", "derived"):
        results = run_at_once([partial(claim_naively, buyer) for buyer in buyers])

    assert count_kinds(results) == {"ok": CROWD}
    campaign.refresh_from_db()
    assert (campaign.claimed_count, CouponRecord.objects.count()) == (1, CROWD)
    with pytest.raises(InvariantBrokenError, match="no more than it has"):
        check_invariants(query_django)


def test_one_buyer_claiming_many_times_gets_one(
    campaign: Coupon, make_buyers: Callable[..., list[Account]], now: datetime
) -> None:
    Coupon.objects.filter(pk=campaign.pk).update(quantity=100)
    [buyer] = make_buyers(1)
    results = run_at_once([lambda: coupons.claim_coupon(account=buyer, coupon_id=campaign.pk, now=now)] * 10)

    assert count_kinds(results) == {"ok": 1, "CouponAlreadyClaimed": 9}
    campaign.refresh_from_db()
    assert (campaign.claimed_count, CouponRecord.objects.count()) == (1, 1)


def test_one_coupon_in_ten_requests_is_on_one_order(
    campaign: Coupon,
    make_buyers: Callable[..., list[Account]],
    place: Callable[..., OrderRequest],
    now: datetime,
) -> None:
    [buyer] = make_buyers(1)
    record = coupons.claim_coupon(account=buyer, coupon_id=campaign.pk, now=now)
    requests = [place(buyer, f"key-{number}", coupon_record_id=record.pk, off=10) for number in range(10)]
    results = run_at_once(
        [partial(creation.create_orders, [request.pk], now=now, cause="race") for request in requests]
    )

    assert count_kinds(results) == {"ok": 10}
    assert Counter(OrderRequest.objects.values_list("status", "error_slug")) == {
        (OrderRequestStatus.CREATED, ""): 1,
        (OrderRequestStatus.REJECTED, "coupon_unavailable"): 9,
    }
    record.refresh_from_db()
    assert (record.status, record.order_id) == ("reserved", Order.objects.get().pk)
    check_invariants(query_django)


def test_one_coupon_in_ten_requests_of_one_batch_is_on_one_order(
    campaign: Coupon,
    make_buyers: Callable[..., list[Account]],
    place: Callable[..., OrderRequest],
    now: datetime,
) -> None:
    [buyer] = make_buyers(1)
    record = coupons.claim_coupon(account=buyer, coupon_id=campaign.pk, now=now)
    requests = [place(buyer, f"key-{number}", coupon_record_id=record.pk, off=10) for number in range(10)]
    creation.create_orders([request.pk for request in requests], now=now, cause="race")

    assert Order.objects.get().request_id == requests[0].pk
    assert OrderRequest.objects.filter(error_slug="coupon_unavailable").count() == 9
    check_invariants(query_django)


def test_control_without_locks_one_coupon_is_taken_by_ten(
    campaign: Coupon,
    make_buyers: Callable[..., list[Account]],
    place: Callable[..., OrderRequest],
    now: datetime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The real code without its locks and its guarded update: all ten see the coupon unused and take it."""
    [buyer] = make_buyers(1)
    record = coupons.claim_coupon(account=buyer, coupon_id=campaign.pk, now=now)
    requests = [place(buyer, f"key-{number}", coupon_record_id=record.pk, off=10) for number in range(10)]
    all_have_read = threading.Barrier(10, timeout=PATIENCE_S)

    def read_world(requests: list[PendingRequest], *, now: datetime) -> Any:
        world = World(
            balances={buyer.pk: Account.objects.get(pk=buyer.pk).balance},
            records={record.pk: CouponRecord.objects.select_related("coupon").get(pk=record.pk)},
            policies={
                line.policy_id: PricePolicy.objects.select_related("course").get(pk=line.policy_id)
                for request in requests
                for line in request.purchase.lines
            },
            now=now,
        )
        all_have_read.wait()
        return world

    def reserve_naively(pairs: list[tuple[int, int]]) -> None:
        for record_id, order_id in pairs:
            CouponRecord.objects.filter(pk=record_id).update(status="reserved", order_id=order_id)

    monkeypatch.setattr(creation, "lock_world", read_world)
    monkeypatch.setattr(creation, "_reserve_coupons", reserve_naively)
    results = run_at_once(
        [partial(creation.create_orders, [request.pk], now=now, cause="race") for request in requests]
    )

    assert count_kinds(results) == {"ok": 10}
    assert Order.objects.filter(global_discount=10).count() == 10
    with pytest.raises(InvariantBrokenError, match="a coupon's discount was given"):
        check_invariants(query_django)
