"""A run on a busy or slow machine is marked as such."""

import dataclasses

from bench.gates import judge
from bench.report import gates_table
from bench.results import Results, describe_quality, reservation
from tests.bench.builders import sample


def test_a_quiet_run_is_without_reservation() -> None:
    assert reservation([sample("order", 1.0)] * 3) == ""
    assert describe_quality([sample("order", 1.0)] * 3) == ""


def test_one_disturbed_repetition_of_three_is_reported_but_changes_no_verdict() -> None:
    samples = [sample("order", 1.0), sample("order", 1.0), sample("order", 1.0, others=0.9)]
    assert reservation(samples) == ""
    assert describe_quality(samples).startswith("DISTURBED: in 1 of 3 measurements")


def test_each_reason_is_named_with_its_figure() -> None:
    assert (
        reservation([sample("order", 1.0, others=0.45, speed=0.52, wall_s=0.5)])
        == "others 0.45, speed 0.52, 0.50 s"
    )


def test_the_run_reports_the_quality_of_its_figures() -> None:
    said = describe_quality(
        [sample("order", 1.0, others=1.2), sample("order", 1.0, speed=0.4), sample("order", 1.0, wall_s=0.2)]
    )
    assert [line.partition(":")[0] for line in said.splitlines() if ":" in line] == [
        "DISTURBED",
        "SLOW",
        "SHORT",
    ]
    assert "(up to 1.20)" in said
    assert "(down to 0.40)" in said


def test_a_gate_that_fails_on_a_disturbed_machine_is_in_doubt() -> None:
    results = Results()
    results.add("shop", sample("poll 200", 2.0, others=0.8))
    (verdict,) = judge(results, "shop")
    assert (verdict.name, verdict.holds, verdict.reservation) == (
        "CPU per poll, whole order",
        False,
        "others 0.80",
    )
    assert "FAILS, in doubt: others 0.80" in gates_table([verdict])
    assert "in doubt" not in gates_table([dataclasses.replace(verdict, holds=True)])
