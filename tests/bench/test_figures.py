"""Medians, spreads and percentiles."""

import pytest

from bench.figures import Spread, percentile, shown


def test_a_spread_is_the_median_with_the_least_and_the_greatest() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)


def test_a_single_repetition_shows_no_spread() -> None:
    assert str(Spread.of([1.234])) == "1.23"
    assert str(Spread.of([1.0, 2.0, 4.0])) == "2.00 [1.00..4.00]"


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 51), (0.99, 100), (1.0, 100)])
def test_percentile(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


@pytest.mark.parametrize(("value", "text"), [(0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1,234"), (0, "0.00")])
def test_three_digits_are_shown(value: float, text: str) -> None:
    assert shown(value) == text
