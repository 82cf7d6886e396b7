"""The rules about money, with the numbers of docs/pricing.md."""

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shop.domain.pricing.rules import CouponTerms, LineInput, LineQuote, Quote, discount_of, price_order
from shop.errors import CouponNotApplicable
from shop.states import CouponType
from tests.shop.domain.strategies import RATES, lines, terms, yuan

D = Decimal
A = LineInput(1, D("99.00"), CouponTerms(CouponType.PERCENT, off_percent=79))
B = LineInput(2, D("59.90"))
MINUS_20_FROM_100 = CouponTerms(CouponType.THRESHOLD, value=D("20.00"), minimum=D("100.00"))


@pytest.mark.parametrize(
    ("beili", "rate", "in_yuan", "shares", "cash", "cash_due"),
    [
        (0, 1, "0.00", ("0.00", "0.00"), ("66.88", "51.23"), "118.11"),
        (18, 1, "18.00", ("10.19", "7.81"), ("56.69", "43.42"), "100.11"),
        (100, 10, "10.00", ("5.66", "4.34"), ("61.22", "46.89"), "108.11"),
    ],
)
def test_worked_example(
    beili: int, rate: int, in_yuan: str, shares: tuple[str, str], cash: tuple[str, str], cash_due: str
) -> None:
    quote = price_order([A, B], MINUS_20_FROM_100, beili=beili, beili_per_yuan=rate)
    assert quote == Quote(
        lines=(
            LineQuote(1, D("99.00"), D("20.79"), D("11.33"), D(shares[0]), D(cash[0])),
            LineQuote(2, D("59.90"), D("0.00"), D("8.67"), D(shares[1]), D(cash[1])),
        ),
        list_total=D("158.90"),
        course_discount=D("20.79"),
        global_discount=D("20.00"),
        beili=beili,
        beili_amount=D(in_yuan),
        cash_due=D(cash_due),
        beili_max=118 if rate == 1 else 1181,
    )


@pytest.mark.parametrize(
    ("coupon", "amount", "discount"),
    [
        (CouponTerms(CouponType.FIXED, value=D("30.00")), "99.00", "30.00"),
        (CouponTerms(CouponType.FIXED, value=D("300.00")), "99.00", "99.00"),
        (MINUS_20_FROM_100, "100.00", "20.00"),
        (CouponTerms(CouponType.THRESHOLD, value=D("200.00"), minimum=D("100.00")), "100.00", "100.00"),
        (CouponTerms(CouponType.PERCENT, off_percent=79), "99.00", "20.79"),
        (CouponTerms(CouponType.PERCENT, off_percent=79), "99.90", "20.98"),
        (CouponTerms(CouponType.PERCENT, off_percent=50), "0.01", "0.01"),
        (CouponTerms(CouponType.PERCENT, off_percent=1), "100.00", "99.00"),
        (CouponTerms(CouponType.PERCENT, off_percent=99), "100.00", "1.00"),
    ],
)
def test_discount_of(coupon: CouponTerms, amount: str, discount: str) -> None:
    assert str(discount_of(coupon, D(amount))) == discount


def test_discount_of_refuses_an_amount_below_the_threshold() -> None:
    with pytest.raises(CouponNotApplicable) as refusal:
        discount_of(MINUS_20_FROM_100, D("99.99"))
    assert refusal.value.details == {"reason": "below_minimum", "minimum": "100.00", "amount": "99.99"}


@pytest.mark.parametrize(
    "coupon",
    [
        MINUS_20_FROM_100,
        CouponTerms(CouponType.FIXED, value=D(1)),
        CouponTerms(CouponType.PERCENT, off_percent=79),
    ],
)
def test_discount_of_refuses_to_take_off_nothing(coupon: CouponTerms) -> None:
    with pytest.raises(CouponNotApplicable) as refusal:
        discount_of(coupon, D("0.00"))
    assert refusal.value.details == {"reason": "nothing_left"}


def test_discount_of_refuses_a_percentage_that_rounds_to_nothing() -> None:
    with pytest.raises(CouponNotApplicable) as refusal:
        discount_of(CouponTerms(CouponType.PERCENT, off_percent=79), D("0.02"))
    assert refusal.value.details == {"reason": "nothing_left"}


def test_discount_of_percent_without_its_percentage_is_a_bug() -> None:
    with pytest.raises(ValueError, match="off_percent"):
        discount_of(CouponTerms(CouponType.PERCENT), D("1.00"))


def test_global_coupon_judges_what_the_course_coupons_left() -> None:
    dear = LineInput(1, D("110.00"), CouponTerms(CouponType.FIXED, value=D("10.01")))
    with pytest.raises(CouponNotApplicable):
        price_order([dear], MINUS_20_FROM_100, beili=0, beili_per_yuan=1)


def test_beili_are_cut_to_what_fits() -> None:
    quote = price_order([B], None, beili=1000, beili_per_yuan=1)
    assert (quote.beili, quote.beili_max, quote.beili_amount, quote.cash_due) == (
        59,
        59,
        D("59.00"),
        D("0.90"),
    )


def test_two_lines_share_one_beili_that_neither_could_take_alone() -> None:
    quote = price_order([LineInput(1, D("0.50")), LineInput(2, D("0.50"))], None, beili=1, beili_per_yuan=1)
    assert [line.beili_amount for line in quote.lines] == [D("0.50"), D("0.50")]
    assert quote.cash_due == D("0.00")


@pytest.mark.parametrize(
    ("given_lines", "beili"),
    [([], 0), ([B, B], 0), ([B], -1), ([LineInput(1, D("-0.01"))], 0)],
    ids=["none", "twice", "beili", "price"],
)
def test_impossible_orders_are_bugs(given_lines: list[LineInput], beili: int) -> None:
    with pytest.raises(ValueError, match="an order needs lines"):
        price_order(given_lines, None, beili=beili, beili_per_yuan=1)


@given(coupon=terms(), amount=yuan())
def test_discount_is_above_zero_and_never_above_the_amount(coupon: CouponTerms, amount: Decimal) -> None:
    try:
        discount = discount_of(coupon, amount)
    except CouponNotApplicable:
        return
    assert D(0) < discount <= amount
    assert discount == discount.quantize(D("0.01"))


def _quoted(ordered: list[LineInput], coupon: CouponTerms | None, *, beili: int, rate: int) -> Quote | None:
    try:
        return price_order(ordered, coupon, beili=beili, beili_per_yuan=rate)
    except CouponNotApplicable:
        return None


@given(ordered=lines(), coupon=st.none() | terms(), beili=st.integers(0, 200_000), rate=RATES)
def test_every_component_adds_up_to_the_fen_and_nothing_is_negative(
    ordered: list[LineInput], coupon: CouponTerms | None, beili: int, rate: int
) -> None:
    quote = _quoted(ordered, coupon, beili=beili, rate=rate)
    assume(quote is not None)
    assert quote is not None
    for line in quote.lines:
        parts = (line.course_discount, line.global_discount, line.beili_amount, line.cash_amount)
        assert sum(parts) == line.list_price
        assert min(parts) >= 0
    assert quote.list_total == sum(line.list_price for line in quote.lines)
    assert quote.course_discount == sum(line.course_discount for line in quote.lines)
    assert quote.global_discount == sum(line.global_discount for line in quote.lines)
    assert quote.beili_amount == sum(line.beili_amount for line in quote.lines)
    assert quote.cash_due == sum(line.cash_amount for line in quote.lines)
    assert quote.beili == min(beili, quote.beili_max) == quote.beili_amount * rate


@given(
    ordered=lines(),
    coupon=st.none() | terms(),
    beili=st.integers(0, 2000),
    rate=RATES,
    seed=st.randoms(use_true_random=False),
)
def test_order_of_lines_does_not_matter(
    ordered: list[LineInput], coupon: CouponTerms | None, beili: int, rate: int, seed: st.DataObject
) -> None:
    shuffled = list(ordered)
    seed.shuffle(shuffled)  # type: ignore[attr-defined] # it is a random.Random
    one, other = (
        _quoted(ordered, coupon, beili=beili, rate=rate),
        _quoted(shuffled, coupon, beili=beili, rate=rate),
    )
    assume(one is not None)
    assert one is not None
    assert other is not None
    assert {line.course_id: line for line in one.lines} == {line.course_id: line for line in other.lines}
    assert one.cash_due == other.cash_due
