"""What was measured: samples by stage and row, with medians and spreads, and whether they mean what they seem
to mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median

from bench.client import Result
from bench.meter import OTHERS_MAX_CORES, SPEED_MIN, WALL_MIN_S, Window

KINDS = ("web", "worker", "beat", "gateway", "postgres", "valkey")


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

    `units` is how many orders, polls or notifications the window covers. `figures` are further numbers by
    name, the unit at the end of the name; `series` are long ones for the charts; `faults` says in a sentence
    each what was not as it must be.
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
        """A rate of `figures` as it would be at speed 1: two windows differ in speed, which says nothing
        about what they measured.
        """
        return self.figures[name] / self.window.speed


@dataclass
class Results:
    """Samples, and SQL statements per unit, of each stage in the order of their arrival."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    statements: dict[str, dict[str, float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    unit_s: float = 0.0

    def add(self, stage: str, sample: Sample) -> None:
        self.samples.setdefault(stage, {}).setdefault(sample.row, []).append(sample)
        self.faults += [f"{stage}: {sample.row}: {fault}" for fault in sample.faults]

    def settle(self, unit_s: float) -> None:
        """Counts every speed from the fastest that was seen, also where that was seen only afterwards."""
        self.unit_s = unit_s
        for rows in self.samples.values():
            for row, samples in rows.items():
                rows[row] = [replace(sample, window=sample.window.at_unit(unit_s)) for sample in samples]

    def all(self) -> list[Sample]:
        return [sample for rows in self.samples.values() for samples in rows.values() for sample in samples]

    def has(self, stage: str, row: str) -> bool:
        return row in self.samples.get(stage, {})

    def spread(self, stage: str, row: str, value: Callable[[Sample], float]) -> Spread:
        """Of one value over the row's repetitions."""
        return Spread.of([value(sample) for sample in self.samples[stage][row]])

    def cpu_ms(self, stage: str, row: str, kind: str | None = None) -> Spread:
        """CPU ms per unit at speed 1."""
        return self.spread(stage, row, lambda sample: sample.window.ms_per(sample.units, kind))

    def figure(self, stage: str, row: str, name: str) -> Spread:
        return self.spread(stage, row, lambda sample: sample.figures[name])

    def ratio(
        self,
        row: str,
        above: str,
        below: str,
        value: Callable[[Sample], float],
        *,
        row_below: str | None = None,
    ) -> Spread:
        """Of one value on two stages (or of two rows), taken pair by pair: each pair was measured a moment
        apart.
        """
        pairs = zip(self.samples[above][row], self.samples[below][row_below or row], strict=False)
        return Spread.of([value(one) / value(other) for one, other in pairs])

    def series(self, stage: str, row: str, name: str) -> Sequence[float]:
        """Of the repetition whose CPU time is the middle one."""
        ordered = sorted(self.samples[stage][row], key=lambda sample: sample.cpu_ms)
        return ordered[len(ordered) // 2].series[name]

    def as_json(self) -> dict[str, dict[str, list[dict[str, object]]]]:
        """Everything but the long series."""
        return {
            stage: {row: [_without_series(sample) for sample in samples] for row, samples in rows.items()}
            for stage, rows in self.samples.items()
        }


def _without_series(sample: Sample) -> dict[str, object]:
    return asdict(replace(sample, series={})) | {"cpu_ms": sample.cpu_ms}


def reservation(samples: Sequence[Sample]) -> str:
    """In a few words why these samples mean little; empty when at least half of them are sound in each
    respect.
    """
    windows = [sample.window for sample in samples]
    checks = (
        (
            sum(window.is_disturbed for window in windows),
            f"others {shown(median(window.others for window in windows))}",
        ),
        (
            sum(window.is_slow for window in windows),
            f"speed {shown(median(window.speed for window in windows))}",
        ),
        (
            sum(window.is_short for window in windows),
            f"{shown(median(window.wall_s for window in windows))} s",
        ),
    )
    return ", ".join(reason for count, reason in checks if 2 * count > len(windows))


def describe_quality(samples: Sequence[Sample]) -> str:
    """What to think of a whole run, in sentences; empty when every measurement is sound."""
    windows = [sample.window for sample in samples]
    said = []
    if disturbed := [window.others for window in windows if window.is_disturbed]:
        said.append(
            f"DISTURBED: in {len(disturbed)} of {len(windows)} measurements other programs used more than "
            f"{OTHERS_MAX_CORES} of a core "
            f"(up to {shown(max(disturbed))}).\nRates and latencies then mean nothing, CPU times little. "
            f"Measure again on a quiet machine."
        )
    if slow := [window.speed for window in windows if window.is_slow]:
        said.append(
            f"SLOW: in {len(slow)} of {len(windows)} measurements the cores ran at less than {SPEED_MIN} of "
            f"their speed (down to "
            f"{shown(min(slow))}).\nCPU at speed 1 and ratios allow for that; rates and latencies can't."
        )
    if short := sum(window.is_short for window in windows):
        said.append(
            f"SHORT: {short} of {len(windows)} measurements took less than {WALL_MIN_S:.0f} s; their figures "
            f"are coarse."
        )
    return "\n".join(said)


def http_figures(result: Result) -> dict[str, float]:
    """Answers a second, and how long they took."""
    took_ms = [1000 * latency for latency in result.latencies_s]
    per_s = len(took_ms) / result.wall_s
    return {"per_s": per_s, "http_p50_ms": percentile(took_ms, 0.5), "http_p99_ms": percentile(took_ms, 0.99)}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of the values don't exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def shown(value: float) -> str:
    """A number with three digits that count, and no more."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
