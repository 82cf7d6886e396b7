"""Claiming coupons, and where they apply."""

from datetime import date, datetime, timedelta
from typing import TypedDict
from zoneinfo import ZoneInfo

import pytest

from shop.domain.coupons import coupons
from shop.domain.pricing.rules import CouponTerms
from shop.errors import CouponAlreadyClaimed, CouponNotFound, CouponNotOpen, CouponSoldOut
from shop.models import Coupon, CouponRecord
from shop.states import CouponRecordStatus, CouponScope, CouponType
from shop.texts import describe_coupon
from tests.factories import NOW, make_buyer, make_coupon, make_course, make_record
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
TODAY = date(2026, 3, 2)
DAY = timedelta(days=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


def test_claim_gives_the_buyer_a_coupon_with_fixed_dates() -> None:
    buyer, coupon = (
        make_buyer(),
        make_coupon(value="10", valid_begin_date=None, valid_end_date=None, coupon_valid_days=7),
    )
    record = coupons.claim_coupon(account=buyer, coupon_id=coupon.pk, now=NOW)
    record.refresh_from_db()
    coupon.refresh_from_db()
    assert (record.account, record.status, record.claimed_at) == (buyer, CouponRecordStatus.UNUSED, NOW)
    assert (record.valid_from_date, record.valid_until_date) == (TODAY, TODAY + 6 * DAY)
    assert coupon.claimed_count == 1


def test_claim_refuses_an_unknown_campaign() -> None:
    buyer = make_buyer()
    with nothing_changes(), pytest.raises(CouponNotFound):
        coupons.claim_coupon(account=buyer, coupon_id=2**62, now=NOW)


@pytest.mark.parametrize(("opens", "closes"), [(1, 9), (-9, -1)])
def test_claim_refuses_outside_the_window(opens: int, closes: int) -> None:
    buyer = make_buyer()
    coupon = make_coupon(value="10", open_date=TODAY + opens * DAY, close_date=TODAY + closes * DAY)
    with nothing_changes(), pytest.raises(CouponNotOpen):
        coupons.claim_coupon(account=buyer, coupon_id=coupon.pk, now=NOW)


def test_claim_window_includes_both_days_in_shanghai_time() -> None:
    coupon = make_coupon(value="10", open_date=TODAY, close_date=TODAY)
    first = datetime(2026, 3, 2, 0, 0, tzinfo=SHANGHAI)
    last = datetime(2026, 3, 2, 23, 59, 59, tzinfo=SHANGHAI)
    assert coupons.claim_coupon(account=make_buyer(), coupon_id=coupon.pk, now=first).pk
    assert coupons.claim_coupon(account=make_buyer(), coupon_id=coupon.pk, now=last).pk
    for moment in (first - timedelta(seconds=1), last + timedelta(seconds=1)):
        with pytest.raises(CouponNotOpen):
            coupons.claim_coupon(account=make_buyer(), coupon_id=coupon.pk, now=moment)


class ValidDates(TypedDict, total=False):
    valid_begin_date: date
    valid_end_date: date
    coupon_valid_days: int


@pytest.mark.parametrize(
    "dates",
    [
        {"valid_begin_date": TODAY - 9 * DAY, "valid_end_date": TODAY - DAY},
        {"valid_begin_date": TODAY + 9 * DAY, "valid_end_date": TODAY + 20 * DAY, "coupon_valid_days": 5},
    ],
    ids=["over", "ends before it begins"],
)
def test_claim_refuses_a_coupon_that_could_never_be_used(dates: ValidDates) -> None:
    buyer, coupon = make_buyer(), make_coupon(value="10", **dates)
    with nothing_changes(), pytest.raises(CouponNotOpen):
        coupons.claim_coupon(account=buyer, coupon_id=coupon.pk, now=NOW)


def test_claim_refuses_a_second_one() -> None:
    buyer, coupon = make_buyer(), make_coupon(value="10")
    coupons.claim_coupon(account=buyer, coupon_id=coupon.pk, now=NOW)
    with nothing_changes(), pytest.raises(CouponAlreadyClaimed):
        coupons.claim_coupon(account=buyer, coupon_id=coupon.pk, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_claim_refuses_when_all_are_gone() -> None:
    coupon, late = make_coupon(value="10", quantity=1), make_buyer()
    coupons.claim_coupon(account=make_buyer(), coupon_id=coupon.pk, now=NOW)
    with nothing_changes(), pytest.raises(CouponSoldOut):
        coupons.claim_coupon(account=late, coupon_id=coupon.pk, now=NOW)


@pytest.mark.parametrize(
    ("begin", "end", "days", "expected"),
    [
        (None, None, 1, (TODAY, TODAY)),
        (None, None, 30, (TODAY, TODAY + 29 * DAY)),
        (TODAY - DAY, TODAY + 5 * DAY, None, (TODAY - DAY, TODAY + 5 * DAY)),
        (TODAY, TODAY + 5 * DAY, 3, (TODAY, TODAY + 2 * DAY)),
        (TODAY, TODAY + DAY, 30, (TODAY, TODAY + DAY)),
    ],
)
def test_validity_ends_at_the_earlier_end(
    begin: date | None, end: date | None, days: int | None, expected: tuple[date, date]
) -> None:
    coupon = Coupon(valid_begin_date=begin, valid_end_date=end, coupon_valid_days=days)
    assert coupons.validity(coupon, claimed_on=TODAY) == expected


def test_open_campaigns() -> None:
    open_now = make_coupon(value="10")
    make_coupon(value="10", open_date=TODAY + DAY)
    make_coupon(value="10", close_date=TODAY - DAY)
    assert list(coupons.list_open_campaigns(now=NOW)) == [open_now]


def test_records_of_a_buyer_newest_first() -> None:
    buyer = make_buyer()
    old, new = make_record(buyer), make_record(buyer, status=CouponRecordStatus.EXPIRED)
    make_record(make_buyer())
    assert list(coupons.list_records(account=buyer)) == [new, old]
    assert list(coupons.list_records(account=buyer, status="expired")) == [new]


def test_usable_records_are_unused_and_not_over() -> None:
    buyer = make_buyer()
    last_day = make_record(buyer, valid_until_date=TODAY)
    later = make_record(buyer, valid_from_date=TODAY + DAY)
    make_record(buyer, valid_until_date=TODAY - DAY)
    make_record(buyer, status=CouponRecordStatus.EXPIRED)
    make_record(make_buyer())
    assert coupons.list_usable([buyer.pk], now=NOW) == {buyer.pk: [last_day, later]}


@pytest.mark.parametrize(("offset", "holds"), [(-1, False), (0, True), (1, True), (2, False)])
def test_in_date_includes_both_ends(offset: int, holds: bool) -> None:
    record = CouponRecord(valid_from_date=TODAY, valid_until_date=TODAY + DAY)
    assert coupons.is_in_date(record, now=NOW + offset * DAY) is holds


def test_fits_course() -> None:
    course, other = make_course(), make_course()
    assert coupons.fits_course(make_coupon(value="1", course=course), course.pk)
    assert not coupons.fits_course(make_coupon(value="1", course=course), other.pk)
    assert coupons.fits_course(make_coupon(value="1", scope=CouponScope.ANY_COURSE), other.pk)
    assert not coupons.fits_course(make_coupon(value="1"), course.pk)


def test_terms_and_their_texts() -> None:
    fixed, threshold = make_coupon(value="30"), make_coupon(CouponType.THRESHOLD, "20.50", minimum="100")
    percent, round_percent = (
        make_coupon(CouponType.PERCENT, off_percent=79),
        make_coupon(CouponType.PERCENT, off_percent=80),
    )
    assert [
        describe_coupon(coupons.terms_of(coupon)) for coupon in (fixed, threshold, percent, round_percent)
    ] == [
        "立减30元",
        "满100减20.5",
        "7.9折",
        "8折",
    ]
    assert coupons.terms_of(percent) == CouponTerms(CouponType.PERCENT, off_percent=79)


def test_expire_marks_unused_coupons_after_their_last_day() -> None:
    buyer = make_buyer()
    over = [make_record(buyer, valid_until_date=TODAY - DAY) for _ in range(3)]
    make_record(buyer, valid_until_date=TODAY)
    assert [
        coupons.expire_records(now=NOW, limit=2),
        coupons.expire_records(now=NOW, limit=2),
        coupons.expire_records(now=NOW, limit=2),
    ] == [2, 1, 0]
    expired = CouponRecord.objects.filter(status=CouponRecordStatus.EXPIRED).order_by("pk")
    assert list(expired) == over
