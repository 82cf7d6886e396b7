"""The command line."""

from pathlib import Path

import pytest

from bench.run import DEFAULT, SCENARIOS, parse
from bench.scenarios import FULL, QUICK


def test_everything_but_the_gateway_is_measured(tmp_path: Path) -> None:
    options = parse(["--out", str(tmp_path)])
    assert options.only == DEFAULT
    assert {*DEFAULT} == {*SCENARIOS} - {"gateway"}
    assert (options.size, options.folder) == (FULL, tmp_path)


def test_a_part_in_less() -> None:
    options = parse(["--quick", "--only", "poll", "cart", "--repeat", "2"])
    assert options.only == ["poll", "cart"]
    assert (options.size.repeats, options.size.saturated_orders) == (2, QUICK.saturated_orders)


def test_two_checkouts(tmp_path: Path) -> None:
    assert parse(["--project", str(tmp_path), "--project", "."]).projects == [tmp_path, Path.cwd()]


def test_an_unknown_scenario_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--only", "weather"])
    assert "weather" in capsys.readouterr().err


def test_quick_measures_everything_in_less() -> None:
    assert QUICK.repeats < FULL.repeats
    assert QUICK.histories[0] == FULL.histories[0]
