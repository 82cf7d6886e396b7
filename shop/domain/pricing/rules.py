"""What an order costs: pure functions over frozen values, without database and clock. docs/pricing.md
explains the rules.

The order of the steps is fixed: per line at most one course coupon; then at most one global coupon on what is
left of the whole, spread over the lines; then 贝里; then money.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from shop.errors import CouponNotApplicable
from shop.money import ZERO, allocate_fen, beili_within, to_fen, yuan_of_beili
from shop.states import CouponType


@dataclass(frozen=True, slots=True)
class CouponTerms:
    """What a coupon takes off.

    `value` and `minimum` are yuan; `off_percent=79` means that 79 % of the price is paid.
    """

    kind: CouponType
    value: Decimal = ZERO
    off_percent: int | None = None
    minimum: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class LineInput:
    """One course to be priced. `price` is the list price in yuan."""

    course_id: int
    price: Decimal
    coupon: CouponTerms | None = None


@dataclass(frozen=True, slots=True)
class LineQuote:
    """list_price = course_discount + global_discount + beili_amount + cash_amount, to the fen; none is
    negative.
    """

    course_id: int
    list_price: Decimal
    course_discount: Decimal
    global_discount: Decimal
    beili_amount: Decimal
    cash_amount: Decimal


@dataclass(frozen=True, slots=True)
class Quote:
    """The sums of its lines. `cash_due` is what Alipay takes."""

    lines: tuple[LineQuote, ...]
    list_total: Decimal
    course_discount: Decimal
    global_discount: Decimal
    beili: int
    beili_amount: Decimal
    cash_due: Decimal
    beili_max: int


def discount_of(terms: CouponTerms, amount: Decimal) -> Decimal:
    """What a coupon takes off `amount` yuan; never more than `amount`.

    Raises:
        CouponNotApplicable: the amount is below the coupon's threshold, or nothing would come off it.
    """
    if amount <= 0:
        raise CouponNotApplicable(reason="nothing_left")
    match terms.kind:
        case CouponType.FIXED:
            return min(terms.value, amount)
        case CouponType.THRESHOLD:
            if amount < terms.minimum:
                raise CouponNotApplicable(
                    reason="below_minimum", minimum=str(terms.minimum), amount=str(amount)
                )
            return min(terms.value, amount)
        case CouponType.PERCENT:
            if terms.off_percent is None:
                raise ValueError("a percent coupon without off_percent can't exist: the database refuses it")
            discount = to_fen(amount * (100 - terms.off_percent) / 100)
            if discount == ZERO:
                raise CouponNotApplicable(reason="nothing_left")
            return discount


def price_order(
    lines: Sequence[LineInput], global_coupon: CouponTerms | None, *, beili: int, beili_per_yuan: int
) -> Quote:
    """Prices an order.

    `beili` is how many 贝里 the buyer wants to put in; more than fit are cut to what fits (`beili_max`).

    The result doesn't depend on the order of `lines`, except that it lists them in the same order.

    Raises:
        CouponNotApplicable: a coupon would take nothing off; it is refused rather than swallowed.
        ValueError: no lines, a course twice, or a negative amount. Callers have checked that.
    """
    if (
        not lines
        or len({line.course_id for line in lines}) != len(lines)
        or beili < 0
        or any(line.price < 0 for line in lines)
    ):
        raise ValueError("an order needs lines, each course once, and no negative amounts")
    course_discounts = {
        line.course_id: discount_of(line.coupon, line.price) if line.coupon else ZERO for line in lines
    }
    after_course = {line.course_id: line.price - course_discounts[line.course_id] for line in lines}
    subtotal = sum(after_course.values(), ZERO)
    global_discount = discount_of(global_coupon, subtotal) if global_coupon else ZERO
    global_shares = allocate_fen(global_discount, after_course)
    after_global = {course_id: rest - global_shares[course_id] for course_id, rest in after_course.items()}
    return _with_beili(
        lines, course_discounts, global_shares, after_global, beili=beili, beili_per_yuan=beili_per_yuan
    )


def _with_beili(
    lines: Sequence[LineInput],
    course_discounts: Mapping[int, Decimal],
    global_shares: Mapping[int, Decimal],
    rests: Mapping[int, Decimal],
    *,
    beili: int,
    beili_per_yuan: int,
) -> Quote:
    rest = sum(rests.values(), ZERO)
    beili_max = beili_within(rest, beili_per_yuan)
    used = min(beili, beili_max)
    beili_amount = yuan_of_beili(used, beili_per_yuan)
    # Shares are fen, not whole 贝里: two lines of ¥0.50 can be paid with one 贝里 together, though neither
    # could take it alone.
    beili_shares = allocate_fen(beili_amount, rests)
    quoted = tuple(
        LineQuote(
            course_id=line.course_id,
            list_price=line.price,
            course_discount=course_discounts[line.course_id],
            global_discount=global_shares[line.course_id],
            beili_amount=beili_shares[line.course_id],
            cash_amount=rests[line.course_id] - beili_shares[line.course_id],
        )
        for line in lines
    )
    return Quote(
        lines=quoted,
        list_total=sum((line.price for line in lines), ZERO),
        course_discount=sum(course_discounts.values(), ZERO),
        global_discount=sum(global_shares.values(), ZERO),
        beili=used,
        beili_amount=beili_amount,
        cash_due=rest - beili_amount,
        beili_max=beili_max,
    )
