"""Texts for people that the API and the desk share."""

from collections.abc import Callable
from decimal import Decimal

from django.utils.translation import gettext_noop

from shop.domain.pricing.rules import CouponTerms
from shop.states import CouponType

_DEALS = {
    CouponType.FIXED: gettext_noop("立减%(value)s元"),
    CouponType.THRESHOLD: gettext_noop("满%(minimum)s减%(value)s"),
    CouponType.PERCENT: gettext_noop("%(tenths)s折"),
}


def describe_coupon(terms: CouponTerms, *, translate: Callable[[str], str] = str) -> str:
    """A coupon's terms in words: `满100减20`, `7.9折`, `立减30元`.

    The API's texts are always Chinese. The desk passes `gettext` to translate them.
    """
    off_percent = terms.off_percent or 0
    return translate(_DEALS[terms.kind]) % {
        "value": _plain(terms.value),
        "minimum": _plain(terms.minimum),
        "tenths": _plain(Decimal(off_percent) / 10),
        "off": 100 - off_percent,
    }


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
