"""Coupons: claiming one from a campaign, what a record is worth on what, and until when."""

from collections.abc import Collection
from datetime import date, datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from shop.clock import shanghai_date
from shop.domain import limits
from shop.domain.limits import Rate, Share
from shop.domain.locks import lock_expired_coupons
from shop.domain.pricing.rules import CouponTerms
from shop.errors import CouponAlreadyClaimed, CouponNotFound, CouponNotOpen, CouponSoldOut
from shop.models import Account, Coupon, CouponRecord
from shop.numbers import mint_number
from shop.states import CouponRecordStatus, CouponScope, CouponType


def claim_coupon(*, account: Account, coupon_id: int, now: datetime) -> CouponRecord:
    """Gives `account` one coupon of the campaign; at most one per buyer and `quantity` in all, under any
    race.

    Raises:
        CouponNotFound, CouponNotOpen, CouponAlreadyClaimed, CouponSoldOut: nothing has changed.
        TooManyRequests: the buyer claims too often.
    """
    limits.spend(Share(Rate.CLAIMS, str(account.pk)))
    coupon = Coupon.objects.filter(pk=coupon_id, is_code_only=False).first()
    if coupon is None:
        raise CouponNotFound
    return issue_coupon(coupon, account, now=now)


def issue_coupon(coupon: Coupon, account: Account, *, now: datetime, is_given: bool = False) -> CouponRecord:
    """Gives `account` one coupon of the campaign.

    Staff may give one outside of the claiming time (`is_given`).

    Raises:
        CouponNotOpen, CouponAlreadyClaimed, CouponSoldOut: nothing has changed.
    """
    today = shanghai_date(now)
    if not is_given and not coupon.open_date <= today <= coupon.close_date:
        raise CouponNotOpen(open_date=coupon.open_date.isoformat(), close_date=coupon.close_date.isoformat())
    valid_from, valid_until = validity(coupon, claimed_on=today)
    if valid_until < max(today, valid_from):
        raise CouponNotOpen(valid_until=valid_until.isoformat())
    try:
        with transaction.atomic():
            # A trigger counts the claim on the campaign's row. That row is contended, so its lock is taken
            # last and held only for the commit.
            record = CouponRecord.objects.create(
                coupon=coupon,
                account=account,
                number=mint_number(now),
                claimed_at=now,
                valid_from_date=valid_from,
                valid_until_date=valid_until,
            )
    except IntegrityError as error:
        if "coupon_record_one_per_buyer" in str(error):
            raise CouponAlreadyClaimed from error
        if "coupon_claims_within_quantity" in str(error):
            raise CouponSoldOut from error
        raise
    return record


def validity(coupon: Coupon, *, claimed_on: date) -> tuple[date, date]:
    """First and last day (inclusive, Shanghai) of a coupon claimed on `claimed_on`; of two ends the earlier
    one counts.

    `coupon_valid_days=1` is good on the day of the claim only.
    """
    valid_from = coupon.valid_begin_date or claimed_on
    ends = [coupon.valid_end_date] if coupon.valid_end_date else []
    if coupon.coupon_valid_days:
        ends.append(claimed_on + timedelta(days=coupon.coupon_valid_days - 1))
    return valid_from, min(ends)


def list_open_campaigns(*, now: datetime) -> QuerySet[Coupon]:
    """Campaigns that can be claimed from today, sold out or not."""
    today = shanghai_date(now)
    open_now = Coupon.objects.filter(open_date__lte=today, close_date__gte=today, is_code_only=False)
    return open_now.select_related("course").defer("course__syllabus").order_by("id")


def list_records(*, account: Account, status: str | None = None) -> QuerySet[CouponRecord]:
    """The buyer's coupons, newest first."""
    records = (
        CouponRecord.objects.filter(account=account)
        .select_related("coupon", "coupon__course", "order")
        .defer("coupon__course__syllabus")
        .order_by("-id")
    )
    return records.filter(status=status) if status else records


def list_usable(account_ids: Collection[int], *, now: datetime) -> dict[int, list[CouponRecord]]:
    """What each of these buyers could put on an order today: unused, and not past its last day (coupons that
    start later included).
    """
    usable: dict[int, list[CouponRecord]] = {account_id: [] for account_id in account_ids}
    records = CouponRecord.objects.filter(
        account__in=usable, status=CouponRecordStatus.UNUSED, valid_until_date__gte=shanghai_date(now)
    ).select_related("coupon")
    for record in records.order_by("id"):
        usable[record.account_id].append(record)
    return usable


def is_in_date(record: CouponRecord, *, now: datetime) -> bool:
    """Whether today (Shanghai) is one of the coupon's days, both ends included."""
    return record.valid_from_date <= shanghai_date(now) <= record.valid_until_date


def fits_course(coupon: Coupon, course_id: int) -> bool:
    """Whether a coupon of this campaign may go on the course's line."""
    return coupon.scope == CouponScope.ANY_COURSE or (
        coupon.scope == CouponScope.COURSE and coupon.course_id == course_id
    )


def terms_of(coupon: Coupon) -> CouponTerms:
    """The campaign's numbers as pricing takes them."""
    return CouponTerms(
        kind=CouponType(coupon.coupon_type),
        value=coupon.money_equivalent_value,
        off_percent=coupon.off_percent,
        minimum=coupon.minimum_consume,
    )


def expire_records(*, now: datetime, limit: int) -> int:
    """Marks up to `limit` unused coupons whose last day is over; returns how many."""
    with transaction.atomic(durable=True):
        # One that an order is just taking is left for the next run, instead of waiting for its lock while
        # holding others.
        over = lock_expired_coupons(before=shanghai_date(now), limit=limit)
        return CouponRecord.objects.filter(pk__in=over).update(status=CouponRecordStatus.EXPIRED)
