"""Gates are judged by measurements; ratios are taken pair by pair at equal speed."""

from bench.gates import judge, judge_growth
from bench.results import Results
from tests.bench.builders import sample


def verdicts(results: Results) -> dict[str, bool]:
    return {verdict.name: verdict.holds for verdict in judge(results, "shop")}


def test_the_rate_is_compared_at_equal_speed() -> None:
    figures = {"messages_per_order": 0.0}
    results = Results()
    results.add("shop", sample("synchronous", 12.0, speed=1.0, figures={"orders_per_s": 100}))
    results.add("shop", sample("orders saturated", 2.0, speed=0.5, figures={**figures, "orders_per_s": 260}))
    assert verdicts(results)["orders/s against synchronous, at speed 1"]
    results.add("shop", sample("synchronous", 12.0, speed=0.5, figures={"orders_per_s": 100}))
    results.add("shop", sample("orders saturated", 2.0, speed=1.0, figures={**figures, "orders_per_s": 260}))
    results.samples["shop"] = {row: samples[1:] for row, samples in results.samples["shop"].items()}
    assert not verdicts(results)["orders/s against synchronous, at speed 1"]


def test_a_poll_without_a_tag_has_gates() -> None:
    results = Results()
    results.add("shop", sample("poll 200", 0.5))
    results.statements["shop"] = {"poll 200": 4.0}
    assert verdicts(results) == {
        "CPU per poll, whole order": True,
        "SQL statements per poll, whole order": False,
    }


def test_growth_is_judged_by_pairs() -> None:
    results = Results()
    for young, old in ((1.0, 1.1), (2.0, 2.2), (4.0, 4.4)):
        results.add("young", sample("growth order", young))
        results.add("old", sample("growth order", old))
    (verdict,) = judge_growth(results, "young", "old")
    assert (verdict.measured, verdict.holds) == ("1.10 [1.10..1.10]", True)
