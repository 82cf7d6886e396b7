"""The effect of a campaign on sample prices."""

from decimal import Decimal

from django.utils.translation import gettext

from shop.desk.display import yuan
from shop.domain.coupons import coupons
from shop.domain.pricing.rules import discount_of
from shop.errors import CouponNotApplicable
from shop.models import Coupon

SAMPLE_PRICES = tuple(map(Decimal, ("50.00", "99.00", "199.00", "399.00")))


def preview(coupon: Coupon) -> str:
    """The effect of the campaign's coupon on sample prices."""
    shown = []
    for price in SAMPLE_PRICES:
        try:
            saved = discount_of(coupons.terms_of(coupon), price)
            shown.append(f"{yuan(price)} → {yuan(price - saved)}")
        except CouponNotApplicable:
            shown.append(gettext("%(price)s 不可用") % {"price": yuan(price)})
    return gettext("；").join(shown)
