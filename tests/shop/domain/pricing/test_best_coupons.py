"""The best combination of coupons."""

import itertools
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from shop.domain.pricing.best_coupons import Candidate, Suggestion, suggest
from shop.domain.pricing.rules import CouponTerms, LineInput, price_order
from shop.errors import CouponNotApplicable
from shop.states import CouponType
from tests.shop.domain.strategies import terms, yuan

D = Decimal


def fixed(value: str) -> CouponTerms:
    return CouponTerms(CouponType.FIXED, value=D(value))


def threshold(minimum: str, value: str) -> CouponTerms:
    return CouponTerms(CouponType.THRESHOLD, value=D(value), minimum=D(minimum))


def test_without_coupons_the_total_is_the_price() -> None:
    assert suggest({1: D("99.00")}, {}, []) == Suggestion({1: None}, None, D("99.00"))


def test_best_course_coupon_and_best_global_coupon_are_chosen() -> None:
    found = suggest(
        {1: D("99.00"), 2: D("59.90")},
        {1: [Candidate(11, fixed("5.00")), Candidate(12, CouponTerms(CouponType.PERCENT, off_percent=79))]},
        [Candidate(21, fixed("3.00")), Candidate(22, threshold("100.00", "20.00"))],
    )
    assert found == Suggestion({1: 12, 2: None}, 22, D("118.11"))


def test_shared_coupon_goes_where_it_saves_most_and_only_there() -> None:
    half = Candidate(11, CouponTerms(CouponType.PERCENT, off_percent=50))
    found = suggest({1: D("10.00"), 2: D("100.00")}, {1: [half], 2: [half]}, [])
    assert found == Suggestion({1: None, 2: 11}, None, D("60.00"))


def test_course_coupon_is_left_out_when_a_global_threshold_saves_more() -> None:
    found = suggest(
        {1: D("100.00")}, {1: [Candidate(11, fixed("1.00"))]}, [Candidate(21, threshold("100.00", "50.00"))]
    )
    assert found == Suggestion({1: None}, 21, D("50.00"))


def test_coupon_that_applies_to_nothing_is_left_out() -> None:
    found = suggest(
        {1: D("10.00")},
        {1: [Candidate(11, threshold("11.00", "5.00"))]},
        [Candidate(21, threshold("11.00", "5.00"))],
    )
    assert found == Suggestion({1: None}, None, D("10.00"))


def test_too_many_combinations_still_give_a_good_one_in_bounded_time() -> None:
    """Fifty coupons that fit each of fifty courses: 50! combinations."""
    coupons = [Candidate(number, fixed(f"{number}.{number:02}")) for number in range(1, 51)]
    prices = {course: D("1000.00") + course for course in range(1, 51)}
    started = time.process_time()
    found = suggest(prices, dict.fromkeys(prices, coupons), [])
    assert time.process_time() - started < 5
    assert sorted(record for record in found.by_course.values() if record) == list(range(1, 51))
    assert found.total == D("51275.00") - D("1287.75")


def test_pruning_keeps_the_way_without_coupons() -> None:
    """The total only reaches the global threshold without any course coupon."""
    coupons = [Candidate(number, fixed(f"{number}.{number:02}")) for number in range(1, 31)]
    prices = {course: D("1000.00") + course for course in range(1, 6)}
    found = suggest(prices, dict.fromkeys(prices, coupons), [Candidate(99, threshold("5015.00", "4000.00"))])
    assert found == Suggestion(dict.fromkeys(prices, None), 99, D("1015.00"))


def _every_total(
    prices: Mapping[int, Decimal],
    course_coupons: Mapping[int, Sequence[Candidate]],
    global_coupons: Sequence[Candidate],
) -> list[Decimal]:
    """Brute force through the pricing itself: the cash amount of every accepted combination."""
    totals = []
    options = [[None, *course_coupons.get(course, ())] for course in prices]
    for choice in itertools.product(*options):
        used = [candidate.record_id for candidate in choice if candidate]
        if len(set(used)) != len(used):
            continue
        lines = [
            LineInput(course, prices[course], one.terms if one else None)
            for course, one in zip(prices, choice, strict=True)
        ]
        for coupon in [None, *global_coupons]:
            try:
                totals.append(
                    price_order(lines, coupon.terms if coupon else None, beili=0, beili_per_yuan=1).cash_due
                )
            except CouponNotApplicable:
                continue
    return totals


@st.composite
def checkouts(draw: st.DrawFn) -> tuple[dict[int, Decimal], dict[int, list[Candidate]], list[Candidate]]:
    """Up to three courses, three coupons that may fit several of them, and two global ones."""
    prices = {course: draw(yuan(1, 30_000)) for course in range(1, draw(st.integers(1, 3)) + 1)}
    records = [Candidate(number, draw(terms())) for number in range(11, 11 + draw(st.integers(0, 3)))]
    fitting = {course: [record for record in records if draw(st.booleans())] for course in prices}
    return (
        prices,
        fitting,
        [Candidate(number, draw(terms())) for number in range(21, 21 + draw(st.integers(0, 2)))],
    )


@given(given_checkout=checkouts())
def test_no_valid_combination_is_cheaper(
    given_checkout: tuple[dict[int, Decimal], dict[int, list[Candidate]], list[Candidate]],
) -> None:
    assert suggest(*given_checkout).total == min(_every_total(*given_checkout))
