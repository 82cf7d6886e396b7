"""Tables and JSON of the choices."""

import pytest

from bench.choices.choice import Alternative, Choice
from bench.choices.telling import choice_json, choice_text, cpu_ratio, rate_ratio, row_table
from bench.figures import Spread
from bench.results import Results
from tests.bench.builders import sample

CHOICE = Choice("how many", Alternative("two"), [Alternative("one", "holds everybody up"), Alternative("none")], [])


def rates(per_s: float) -> dict[str, float]:
    return {"per_s": per_s, "http_p50_ms": 4.0, "http_p99_ms": 9.0}


@pytest.fixture
def results() -> Results:
    found = Results()
    for own, other in ((1.0, 2.0), (2.0, 5.0)):
        found.add("two", sample("poll 304", own, figures=rates(100)))
        found.add("one", sample("poll 304", other, speed=0.5, figures=rates(25)))
    return found


def test_ratios_are_those_to_the_own_setting_in_the_same_round(results: Results) -> None:
    assert cpu_ratio(CHOICE, results, "one", "poll 304") == Spread(2.25, 2.0, 2.5, 2)
    assert rate_ratio(CHOICE, results, "one", "poll 304") == Spread(0.5, 0.5, 0.5, 2)
    assert cpu_ratio(CHOICE, results, "two", "poll 304") is None
    assert rate_ratio(CHOICE, results, "two", "poll 304") is None


def test_a_rate_that_the_load_gives_has_no_ratio() -> None:
    found = Results()
    for name in ("two", "one"):
        found.add(name, sample("orders light", 1.0, figures={"orders_per_s": 50}))
    assert rate_ratio(CHOICE, found, "one", "orders light") is None


def test_the_own_setting_comes_first_and_what_was_not_measured_is_left_out(results: Results) -> None:
    head, own, other = row_table(CHOICE, results, "poll 304").splitlines()
    assert head.split()[:2] == ["poll", "304"]
    assert own.startswith("two (the shop's)")
    assert other.startswith("one ")
    assert "2.25 [2.00..2.50]" in other


def test_notes_faults_and_doubts_stand_below(results: Results) -> None:
    results.add("one", sample("poll 304", 2.0, others=0.9, figures=rates(25), faults=["3 of 100 answers were 500, not 304"]))
    text = choice_text(CHOICE, results)
    assert "one FAULTS" in text
    assert "holds everybody up" in text
    assert "  one: poll 304: 3 of 100 answers were 500, not 304" in text
    assert "DISTURBED: in 1 of 5" in text


def test_json_has_ratios_and_every_sample(results: Results) -> None:
    found = choice_json(CHOICE, results)
    assert found["own"] == "two"
    assert found["ratios"]["poll 304"]["one"]["cpu"] == {"median": 2.25, "least": 2.0, "greatest": 2.5, "count": 2}
    assert len(found["stages"]["one"]["poll 304"]) == 2
