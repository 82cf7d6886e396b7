"""Taking turns: what is compared is measured a moment apart, row by row, since the machine's speed changes within seconds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.figures import Sample
from bench.size import Size
from bench.stage import Stage

Item = TypeVar("Item")
Measure = Callable[[Stage, Size], Iterator[Sample]]


def rotated(items: Sequence[Item], round_number: int) -> list[Item]:
    """The order of one round (1, 2, …): A B C, then B C A, then C A B. Nobody is always first, and nobody comes twice in a row."""
    start = (round_number - 1) % len(items)
    return [*items[start:], *items[:start]]


@dataclass(frozen=True)
class Act:
    """What one of those that take turns measures, and how much of it."""

    stage: Stage
    measure: Measure
    size: Size


def in_turns(acts: Sequence[Act], *, round_number: int) -> Iterator[tuple[Stage, Sample]]:
    """One round: the first row on each stage, then the second on each. Stages that rest are awake for their own turns only."""
    running = [(act.stage, act.measure(act.stage, act.size)) for act in rotated(acts, round_number)]
    while running:
        further = []
        for stage, samples in running:
            with stage.awake():
                sample = next(samples, None)
            if sample is not None:
                further.append((stage, samples))
                yield stage, sample
        running = further
