"""The command line."""

from pathlib import Path

import pytest

from bench.__main__ import _parse
from bench.choices.catalogue import CHOICES
from bench.size import CHOICE_FULL, CHOICE_QUICK, FULL, QUICK


def test_without_choices_all_scenarios_are_measured(tmp_path: Path) -> None:
    options = _parse(["--out", str(tmp_path)])
    assert options is not None
    assert (options.choices, options.only[-1], options.size) == ([], "growth", FULL)


def test_choices_without_a_name_are_all_of_them() -> None:
    options = _parse(["--choices"])
    assert options is not None
    assert (options.choices, options.size) == ([*CHOICES], CHOICE_FULL)


def test_choices_by_name_and_quick() -> None:
    options = _parse(["--quick", "--choices", "web", "pool", "--repeat", "2"])
    assert options is not None
    assert options.choices == ["web", "pool"]
    assert (options.size.repeats, options.size.saturated_orders) == (2, CHOICE_QUICK.saturated_orders)


def test_an_unknown_choice_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parse(["--choices", "web", "weather"])
    assert "no such choice: weather" in capsys.readouterr().err


def test_choices_and_scenarios_are_not_measured_at_once() -> None:
    with pytest.raises(SystemExit):
        _parse(["--choices", "--only", "poll"])


def test_the_list_names_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert _parse(["--list"]) is None
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")}
    assert {"orders", "growth", *CHOICES} <= listed


def test_quick_has_every_scenario_in_less() -> None:
    assert QUICK.repeats < FULL.repeats
    assert QUICK.growth_history[0] == FULL.growth_history[0]
