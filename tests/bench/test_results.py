"""Samples by stage and row."""

import pytest

from bench.results import Results, Spread, percentile, shown
from tests.bench.builders import sample


def results_of(**stages: list[float]) -> Results:
    results = Results()
    for stage, values in stages.items():
        for value in values:
            results.add(stage, sample("order", value))
    return results


def test_a_ratio_is_taken_pair_by_pair() -> None:
    # Both costs doubled in the second round, so each pair has the same ratio.
    results = results_of(old=[2.0, 4.0, 2.0], new=[1.0, 2.0, 1.5])
    assert results.ratio(("new", "order"), ("old", "order")) == Spread(0.5, 0.5, 0.75, 3)


def test_a_ratio_of_two_rows_of_one_stage() -> None:
    results = results_of(shop=[3.0])
    results.add("shop", sample("in the request", 12.0))
    ratio = results.ratio(("shop", "order"), ("shop", "in the request"))
    assert ratio.median == pytest.approx(0.25)


def test_rates_are_compared_at_the_same_speed() -> None:
    slow, fast = (
        sample("order", 1.0, speed=0.5, figures={"per_s": 400}),
        sample("order", 1.0, speed=1.0, figures={"per_s": 800}),
    )
    assert slow.rate("per_s") == fast.rate("per_s") == 800


def test_speeds_go_by_the_fastest_that_was_seen_until_the_end() -> None:
    results = results_of(shop=[2.0])
    results.settle(0.5)  # the calibration work takes half as long as it was thought to
    (taken,) = results.samples["shop"]["order"]
    assert taken.window.speed == 0.5
    assert taken.cpu_ms == pytest.approx(1.0)
    results.settle(0.5)
    assert results.samples["shop"]["order"][0].window.speed == 0.5


def test_faults_are_kept_with_their_place() -> None:
    results = Results()
    results.add("shop", sample("order", 1.0, faults=["2 of 100 answers were 500, not 202"]))
    assert results.faults == ["shop: order: 2 of 100 answers were 500, not 202"]


def test_a_spread_is_the_median_with_the_least_and_the_greatest() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)


def test_a_single_repetition_shows_no_spread() -> None:
    assert str(Spread.of([1.234])) == "1.23"
    assert str(Spread.of([1.0, 2.0, 4.0])) == "2.00 [1.00..4.00]"


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 51), (0.99, 100), (1.0, 100)])
def test_percentile(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.12"), (12.34, "12.3"), (1234.5, "1,234"), (0, "0.00")]
)
def test_three_digits_are_shown(value: float, text: str) -> None:
    assert shown(value) == text
