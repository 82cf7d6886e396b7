"""Compared checkouts take turns, row by row; the others are paused meanwhile."""

import contextlib
import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from bench.results import Sample
from bench.run import in_turns, rotated
from tests.bench.builders import sample


class Stage(SimpleNamespace):
    """Records when it is paused."""

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        self.log.append(f"{self.label} rests")
        yield
        self.log.append(f"{self.label} goes on")


def measure(stage: Any, *rows: str) -> Iterator[Sample]:
    for row in rows:
        stage.log.append(f"{stage.label} {row}")
        yield sample(row, 1.0)


def test_each_round_starts_with_the_next_and_none_comes_twice_in_a_row() -> None:
    stages: list[Any] = ["A", "B", "C"]
    rounds: list[Any] = [rotated(stages, number) for number in (1, 2, 3, 4)]
    assert rounds == [["A", "B", "C"], ["B", "C", "A"], ["C", "A", "B"], ["A", "B", "C"]]
    assert all(one != other for one, other in itertools.pairwise(name for names in rounds for name in names))


def test_a_row_is_measured_on_all_before_the_next_and_the_others_rest() -> None:
    log: list[str] = []
    stages: list[Any] = [Stage(label=label, log=log) for label in ("A", "B")]
    came = [
        (stage.label, taken.row)
        for stage, taken in in_turns([(stage, measure(stage, "first", "second")) for stage in stages])
    ]
    assert came == [("A", "first"), ("B", "first"), ("A", "second"), ("B", "second")]
    assert log[:6] == ["B rests", "A first", "B goes on", "A rests", "B first", "A goes on"]


def test_one_that_has_fewer_rows_ends_earlier() -> None:
    long, short = Stage(label="A", log=[]), Stage(label="B", log=[])
    running: list[Any] = [(long, measure(long, "first", "second")), (short, measure(short, "first"))]
    assert [(stage.label, taken.row) for stage, taken in in_turns(running)] == [
        ("A", "first"),
        ("B", "first"),
        ("A", "second"),
    ]
