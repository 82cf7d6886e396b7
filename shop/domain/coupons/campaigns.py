"""Ending a campaign before its time, for one that went out with a mistake."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Least

from shop.clock import shanghai_date
from shop.domain.coupons.codes import withdraw_codes
from shop.domain.locks import lock_coupon, lock_unused_of_campaign
from shop.errors import CouponNotFound
from shop.models import Coupon, CouponRecord
from shop.states import CouponRecordStatus


@dataclass(frozen=True, slots=True)
class Ended:
    """How many unused coupons and codes were taken back."""

    coupons: int
    codes: int


def end_campaign(coupon_id: int, *, takes_back: bool, now: datetime) -> Ended:
    """Stops further claims. With `takes_back`, unused coupons and codes end as well.

    Coupons that an unpaid order holds stay valid, because the order's price was promised. They end with the
    order or on their last day.

    Raises:
        CouponNotFound
    """
    yesterday = shanghai_date(now) - timedelta(days=1)
    with transaction.atomic(durable=True):
        # Codes, coupons, their campaign: in the order in which claims and orders take them.
        codes = withdraw_codes(coupon_id, now=now) if takes_back else 0
        held = lock_unused_of_campaign(coupon_id) if takes_back else []
        if lock_coupon(coupon_id) is None:
            raise CouponNotFound
        Coupon.objects.filter(pk=coupon_id).update(
            open_date=Least("open_date", yesterday), close_date=Least("close_date", yesterday)
        )
        taken = (
            CouponRecord.objects.filter(pk__in=held).update(status=CouponRecordStatus.EXPIRED) if held else 0
        )
        return Ended(coupons=taken, codes=codes)
