"""Medians with their spread, percentiles, and what one repetition of a scenario has brought."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.meter import Window


@dataclass(frozen=True)
class Spread:
    """The median of several repetitions, and the least and the greatest of them."""

    median: float
    least: float
    greatest: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values), len(values))

    def __str__(self) -> str:
        if self.count == 1:
            return shown(self.median)
        return f"{shown(self.median)} [{shown(self.least)}..{shown(self.greatest)}]"


@dataclass(frozen=True)
class Sample:
    """One repetition of one measurement (`row`, such as "orders saturated").

    `units` is how many orders, polls or notifications the window covers. `figures` are further numbers by name, the unit at the end
    of the name; `series` are long ones for the charts; `faults` says in a sentence each what was not as it must be.
    """

    row: str
    units: int
    window: Window
    figures: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, Sequence[float]] = field(default_factory=dict)
    faults: Sequence[str] = ()

    @property
    def cpu_ms(self) -> float:
        """CPU ms per unit at speed 1."""
        return self.window.ms_per(self.units)

    def rate(self, name: str) -> float:
        """A rate of `figures` as it would be at speed 1: the cores may be slow for the one and fast for the other, which says nothing about
        either."""
        return self.figures[name] / self.window.speed


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of the values don't exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def shown(value: float) -> str:
    """A number with three digits that count, and no more."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
