"""What a buyer has agreed to, beside the amounts: the price and period of each course, and what each coupon
takes off, as a checkout showed them. Without a checkout there are the amounts, and the periods that the
request names.
"""

from collections.abc import Mapping, Sequence

from shop.domain.pricing.rules import CouponTerms, LineInput, Quote, price_order
from shop.domain.purchase import Purchase, Shown
from shop.errors import CouponNotApplicable


def covers_prices(purchase: Purchase, quote: Quote) -> bool:
    """Whether each course still costs what was shown."""
    shown = purchase.shown
    return shown is None or all(shown.prices[line.course_id] == line.list_price for line in quote.lines)


def covers_periods(purchase: Purchase, periods: Mapping[int, int]) -> bool:
    """Whether each course is given for as many days as was shown, and as the request says."""
    shown = purchase.shown.periods if purchase.shown else {}
    return all(
        periods[choice.course_id] == shown.get(choice.course_id, periods[choice.course_id])
        and choice.valid_period in (None, periods[choice.course_id])
        for choice in purchase.lines
    )


def covers_discounts(
    purchase: Purchase, lines: Sequence[LineInput], global_coupon: CouponTerms | None, quote: Quote
) -> bool:
    """Whether each coupon takes off what it would have taken by the terms that were shown.

    The prices are as they were.
    """
    if purchase.shown is None or not purchase.shown.coupons:
        return True
    seen = purchase.shown.coupons
    shown = [
        _shown_terms(seen, choice.coupon_record_id, line.coupon)
        for choice, line in zip(purchase.lines, lines, strict=True)
    ]
    shown_global = _shown_terms(seen, purchase.coupon_record_id, global_coupon)
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
        then.course_discount == now.course_discount
        for then, now in zip(promised.lines, quote.lines, strict=True)
    )


def was_promised(purchase: Purchase) -> bool:
    """Whether the checkout showed every coupon of the purchase where it is used now, and all of them as
    applicable together.
    """
    if (shown := purchase.shown) is None or any(pk not in shown.coupons for pk in purchase.coupon_record_ids):
        return False
    try:
        _price_as_shown(purchase, shown)
    except CouponNotApplicable:
        return False
    return True


def _price_as_shown(purchase: Purchase, shown: Shown) -> Quote:
    return price_order(
        [
            LineInput(
                choice.course_id,
                shown.prices[choice.course_id],
                _shown_terms(shown.coupons, choice.coupon_record_id, None),
            )
            for choice in purchase.lines
        ],
        _shown_terms(shown.coupons, purchase.coupon_record_id, None),
        beili=0,
        beili_per_yuan=1,
    )


def _shown_terms(
    shown: Mapping[int, CouponTerms], record_id: int | None, now: CouponTerms | None
) -> CouponTerms | None:
    """A coupon that came after the checkout has only the terms of now."""
    return now if record_id is None else shown.get(record_id, now)
