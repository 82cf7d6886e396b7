"""Coupon codes: generated in bulk, redeemed once, ended with their campaign."""

import pytest

from shop.domain.coupons import campaigns, codes, coupons
from shop.errors import (
    CodesOverQuantity,
    CouponAlreadyClaimed,
    CouponCodeNotFound,
    CouponNotFound,
    CouponNotOpen,
)
from shop.models import Account, Coupon, CouponCode, CouponRecord
from shop.states import CouponRecordStatus
from tests.factories import (
    FAR_AHEAD,
    LONG_AGO,
    NOW,
    make_buyer,
    make_coupon,
    make_course,
    make_order,
    make_record,
)
from tests.payments.order_scenario import assert_books_are_right
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


def make_codes(coupon: Coupon, count: int = 3) -> list[str]:
    return codes.list_codes(
        batch=codes.make_codes(coupon_id=coupon.pk, count=count, staff=make_buyer(), now=NOW)
    )


def test_code_is_exchanged_once() -> None:
    coupon, buyer = make_coupon(value="10", is_code_only=True), make_buyer()
    first, *_ = made = make_codes(coupon)
    assert len(set(made)) == 3
    record = codes.redeem_code(account=buyer, code=f" {first[:4].lower()}-{first[4:]} ", now=NOW)
    assert (record.account_id, record.coupon_id, record.status) == (
        buyer.pk,
        coupon.pk,
        CouponRecordStatus.UNUSED,
    )
    assert CouponCode.objects.get(code=first).record_id == record.pk
    with nothing_changes(), pytest.raises(CouponCodeNotFound):
        codes.redeem_code(account=make_buyer_before(), code=first, now=NOW)
    assert_books_are_right()


def make_buyer_before() -> Account:
    return Account.objects.earliest("pk")


def test_second_code_of_a_campaign_stays_good_for_others() -> None:
    coupon, buyer, other = make_coupon(value="10"), make_buyer(), make_buyer()
    first, second, _ = make_codes(coupon)
    codes.redeem_code(account=buyer, code=first, now=NOW)
    with nothing_changes(), pytest.raises(CouponAlreadyClaimed):
        codes.redeem_code(account=buyer, code=second, now=NOW)
    codes.redeem_code(account=other, code=second, now=NOW)


@pytest.mark.parametrize("code", ["", "NOSUCHCODE000000", "' OR 1=1", "０" * 16, "x" * 400])
def test_invalid_code(code: str) -> None:
    buyer = make_buyer()
    make_codes(make_coupon(value="10"))
    with nothing_changes(), pytest.raises(CouponCodeNotFound):
        codes.redeem_code(account=buyer, code=code, now=NOW)


def test_codes_never_promise_more_than_the_campaign_has() -> None:
    coupon, staff = make_coupon(value="10", quantity=5), make_buyer()
    make_record(make_buyer(), coupon)
    codes.make_codes(coupon_id=coupon.pk, count=3, staff=staff, now=NOW)
    for count in (2, 0, -1, 10_001):
        with nothing_changes(), pytest.raises(CodesOverQuantity):
            codes.make_codes(coupon_id=coupon.pk, count=count, staff=staff, now=NOW)
    codes.make_codes(coupon_id=coupon.pk, count=1, staff=staff, now=NOW)


def test_campaign_by_code_only_is_neither_listed_nor_claimed() -> None:
    coupon, buyer = make_coupon(value="10", is_code_only=True), make_buyer()
    assert list(coupons.list_open_campaigns(now=NOW)) == []
    with nothing_changes(), pytest.raises(CouponNotFound):
        coupons.claim_coupon(account=buyer, coupon_id=coupon.pk, now=NOW)
    Coupon.objects.update(is_code_only=False)  # the control
    assert coupons.claim_coupon(account=buyer, coupon_id=coupon.pk, now=NOW).coupon_id == coupon.pk


def test_staff_give_one_outside_of_the_claiming_time() -> None:
    coupon, buyer = make_coupon(value="10", open_date=LONG_AGO, close_date=LONG_AGO), make_buyer()
    with nothing_changes(), pytest.raises(CouponNotOpen):
        coupons.claim_coupon(account=buyer, coupon_id=coupon.pk, now=NOW)
    coupons.issue_coupon(coupon, buyer, now=NOW, is_given=True)
    with nothing_changes(), pytest.raises(CouponAlreadyClaimed):
        coupons.issue_coupon(coupon, buyer, now=NOW, is_given=True)


def test_wrong_campaign_is_ended_with_what_it_gave_out() -> None:
    coupon, buyer = make_coupon(value="10"), make_buyer()
    made = make_codes(coupon)
    held = make_record(make_buyer(), coupon)
    course = make_course("30.00")
    reserved = make_record(buyer, coupon)
    make_order(buyer, course, global_coupon=reserved, alipay="20.00")
    ended = campaigns.end_campaign(coupon.pk, takes_back=True, now=NOW)
    assert (ended.coupons, ended.codes) == (1, 3)
    assert dict(CouponRecord.objects.values_list("pk", "status")) == {
        held.pk: CouponRecordStatus.EXPIRED,
        reserved.pk: CouponRecordStatus.RESERVED,
    }
    with nothing_changes(), pytest.raises(CouponCodeNotFound):
        codes.redeem_code(account=buyer, code=made[0], now=NOW)
    with nothing_changes(), pytest.raises(CouponNotOpen):
        coupons.claim_coupon(account=buyer, coupon_id=coupon.pk, now=NOW)
    assert_books_are_right()


def test_campaign_that_is_only_closed_leaves_coupons_good() -> None:
    coupon = make_coupon(value="10")
    held = make_record(make_buyer(), coupon)
    ended = campaigns.end_campaign(coupon.pk, takes_back=False, now=NOW)
    assert (ended.coupons, ended.codes) == (0, 0)
    held.refresh_from_db()
    assert (held.status, held.valid_until_date) == (CouponRecordStatus.UNUSED, FAR_AHEAD)
    with pytest.raises(CouponNotFound):
        campaigns.end_campaign(0, takes_back=True, now=NOW)
