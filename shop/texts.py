"""Words for people that the API and the desk share."""

from decimal import Decimal

from shop.domain.pricing.rules import CouponTerms
from shop.states import CouponType


def describe_coupon(terms: CouponTerms) -> str:
    """What a coupon does: `满100减20`, `7.9折`, `立减30元`."""
    match terms.kind:
        case CouponType.FIXED:
            return f"立减{_plain(terms.value)}元"
        case CouponType.THRESHOLD:
            return f"满{_plain(terms.minimum)}减{_plain(terms.value)}"
        case CouponType.PERCENT:
            return f"{_plain(Decimal(terms.off_percent or 0) / 10)}折"


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
