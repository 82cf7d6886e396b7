"""What a buyer has agreed to, beside the amounts: the price and period of each course, and what each coupon takes off, as a checkout
showed them. Without a checkout there are the amounts, and the periods that the request names.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from shop.domain import coupons
from shop.domain.orders import LineChoice
from shop.domain.pricing import CouponTerms, LineInput, Quote, price_order
from shop.errors import CouponNotApplicable

Body = Mapping[str, Any]


def covers_prices(body: Body, quote: Quote) -> bool:
    """Whether each course costs what it did."""
    seen: Mapping[str, str] | None = body["prices_seen"]
    return seen is None or all(Decimal(seen[str(line.course_id)]) == line.list_price for line in quote.lines)


def covers_periods(body: Body, choices: Sequence[LineChoice], periods: Mapping[int, int]) -> bool:
    """Whether each course is given for as many days as was shown, and as the request says."""
    seen: Mapping[str, int] = body.get("periods_seen") or {}
    return all(
        periods[choice.course_id] == seen.get(str(choice.course_id), periods[choice.course_id])
        and choice.valid_period in (None, periods[choice.course_id])
        for choice in choices
    )


def covers_discounts(
    body: Body, choices: Sequence[LineChoice], lines: Sequence[LineInput], global_coupon: CouponTerms | None, quote: Quote
) -> bool:
    """Whether each coupon takes off what it would have taken by the terms that were shown. The prices are as they were."""
    seen: Mapping[str, coupons.StoredTerms] = body.get("coupons_seen") or {}
    if not seen:
        return True
    shown = [_shown_terms(seen, choice.coupon_record_id, line.coupon) for choice, line in zip(choices, lines, strict=True)]
    shown_global = _shown_terms(seen, body["coupon_record_id"], global_coupon)
    if shown == [line.coupon for line in lines] and shown_global == global_coupon:
        return True
    try:
        promised = price_order(
            [LineInput(line.course_id, line.price, terms) for line, terms in zip(lines, shown, strict=True)],
            shown_global,
            beili=0,
            beili_per_yuan=1,
        )
    except CouponNotApplicable:
        return False
    return promised.global_discount == quote.global_discount and all(
        then.course_discount == now.course_discount for then, now in zip(promised.lines, quote.lines, strict=True)
    )


def was_promised(body: Body, choices: Sequence[LineChoice]) -> bool:
    """Whether the checkout showed every coupon of the purchase where it is used now, and all of them as applicable together."""
    seen: Mapping[str, coupons.StoredTerms] = body.get("coupons_seen") or {}
    record_ids = [choice.coupon_record_id for choice in choices]
    global_id: int | None = body["coupon_record_id"]
    if any(pk is not None and str(pk) not in seen for pk in (*record_ids, global_id)):
        return False
    try:
        price_order(
            [
                LineInput(choice.course_id, Decimal(body["prices_seen"][str(choice.course_id)]), _shown_terms(seen, pk, None))
                for choice, pk in zip(choices, record_ids, strict=True)
            ],
            _shown_terms(seen, global_id, None),
            beili=0,
            beili_per_yuan=1,
        )
    except CouponNotApplicable:
        return False
    return True


def _shown_terms(seen: Mapping[str, coupons.StoredTerms], record_id: int | None, now: CouponTerms | None) -> CouponTerms | None:
    """A coupon that came after the checkout has only the terms of now."""
    stored = seen.get(str(record_id))
    return now if stored is None else coupons.read_terms(stored)
