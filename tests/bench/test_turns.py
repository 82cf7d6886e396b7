"""Whoever is compared takes turns, row by row."""

import contextlib
import itertools
from collections.abc import Iterator
from types import SimpleNamespace

from bench.size import QUICK, Size
from bench.turns import Act, in_turns, rotated
from tests.bench.builders import sample


def test_each_round_begins_with_the_next_and_nobody_comes_twice_in_a_row() -> None:
    rounds = [rotated(["A", "B", "C"], number) for number in (1, 2, 3, 4)]
    assert rounds == [["A", "B", "C"], ["B", "C", "A"], ["C", "A", "B"], ["A", "B", "C"]]
    order = [name for names in rounds for name in names]
    assert all(one != other for one, other in itertools.pairwise(order))


class Company(SimpleNamespace):
    """Notes when it is awake."""

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        self.log.append(f"{self.label} wakes")
        yield
        self.log.append(f"{self.label} rests")


def measure_two(stage: Company, size: Size) -> Iterator[object]:
    for row in ("first", "second"):
        stage.log.append(f"{stage.label} {row}")
        yield sample(row, 1.0)


def measure_one(stage: Company, size: Size) -> Iterator[object]:
    yield sample("first", float(size.repeats))


def test_one_row_is_measured_on_all_before_the_next() -> None:
    log: list[str] = []
    acts = [Act(Company(label=label, log=log), measure_two, QUICK) for label in ("A", "B")]
    came = [(stage.label, taken.row) for stage, taken in in_turns(acts, round_number=1)]
    assert came == [("A", "first"), ("B", "first"), ("A", "second"), ("B", "second")]
    assert log[:6] == ["A wakes", "A first", "A rests", "B wakes", "B first", "B rests"]


def test_acts_may_have_different_measures() -> None:
    acts = [Act(Company(label="A", log=[]), measure_two, QUICK), Act(Company(label="B", log=[]), measure_one, QUICK)]
    came = [(stage.label, taken.row) for stage, taken in in_turns(acts, round_number=2)]
    assert came == [("B", "first"), ("A", "first"), ("A", "second")]
