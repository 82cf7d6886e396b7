"""The measurements with medians and spreads, and their quality."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from bench.client import Result
from bench.meter import OTHERS_MAX_CORES, SPEED_MIN, WALL_MIN_S, Window

KINDS = ("web", "worker", "beat", "gateway", "postgres", "valkey")
# Reasons to doubt a window: name, short text, and explanation.
_DOUBTS = (
    ("DISTURBED", "others {}", f"""other programs used more than {OTHERS_MAX_CORES} of a core (up to {{}}).
Rates and latencies then mean nothing, CPU times little. Measure again on a quiet machine."""),
    ("SLOW", "speed {}", f"""the cores ran at less than {SPEED_MIN} of their speed (down to {{}}).
CPU at speed 1 and ratios allow for that; rates and latencies can't."""),
    ("SHORT", "{} s", f"it took less than {WALL_MIN_S:.0f} s (down to {{}}); the figures are coarse."),
)  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """The median, the least and the greatest of several repetitions."""

    median: float
    least: float
    greatest: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(median(values), min(values), max(values), len(values))

    def __str__(self) -> str:
        spread = f" [{shown(self.least)}..{shown(self.greatest)}]" if self.count > 1 else ""
        return shown(self.median) + spread


@dataclass(frozen=True)
class Sample:
    """One repetition of one measurement (`row`, such as "orders saturated").

    `units` is the number of orders, polls or notifications in the window; `figures` are further numbers by
    name with unit, `series` are long ones for the chart; `faults` are sentences about errors.
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
        """A rate from `figures`, converted to speed 1."""
        return self.figures[name] / self.window.speed


Place = tuple[str, str]  # stage and row
Value = Callable[[Sample], float]


@dataclass
class Results:
    """Samples, and SQL statements per unit, by stage and row."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    statements: dict[str, dict[str, float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    unit_s: float = 0.0

    def add(self, stage: str, sample: Sample) -> None:
        self.samples.setdefault(stage, {}).setdefault(sample.row, []).append(sample)
        self.faults += [f"{stage}: {sample.row}: {fault}" for fault in sample.faults]

    def settle(self, unit_s: float) -> None:
        """Makes all speeds relative to the fastest one of the whole run."""
        self.unit_s = unit_s
        for rows in self.samples.values():
            for row, samples in rows.items():
                rows[row] = [replace(sample, window=sample.window.at_unit(unit_s)) for sample in samples]

    def all(self) -> list[Sample]:
        return [sample for rows in self.samples.values() for samples in rows.values() for sample in samples]

    def has(self, stage: str, *rows: str) -> bool:
        return all(row in self.samples.get(stage, {}) for row in rows)

    def spread(self, stage: str, row: str, value: Value) -> Spread:
        """The spread of a value over the row's repetitions."""
        return Spread.of([value(sample) for sample in self.samples[stage][row]])

    def cpu_ms(self, stage: str, row: str, kind: str | None = None) -> Spread:
        """CPU ms per unit at speed 1."""
        return self.spread(stage, row, lambda sample: sample.window.ms_per(sample.units, kind))

    def figure(self, stage: str, row: str, name: str) -> Spread:
        return self.spread(stage, row, lambda sample: sample.figures[name])

    def ratio(self, above: Place, below: Place, value: Value = lambda sample: sample.cpu_ms) -> Spread:
        """The spread of a value's ratio between two places; pairs were measured one after the other."""
        first, second = (self.samples[stage][row] for stage, row in (above, below))
        return Spread.of([value(one) / value(other) for one, other in zip(first, second, strict=False)])

    def ratios(self, above: str, below: str) -> dict[str, Spread]:
        """The ratio of CPU per unit between two stages, for every row that both have."""
        rows = [row for row in self.samples.get(above, {}) if self.has(below, row)]
        return {row: self.ratio((above, row), (below, row)) for row in rows}

    def series(self, stage: str, row: str, name: str) -> Sequence[float]:
        """A series from the repetition with the median CPU time."""
        ordered = sorted(self.samples[stage][row], key=lambda sample: sample.cpu_ms)
        return ordered[len(ordered) // 2].series[name]


def _doubts(samples: Sequence[Sample]) -> Iterator[tuple[str, str, str, Sequence[float]]]:
    """Each reason with its bad values, worst first."""
    windows = [sample.window for sample in samples]
    others = sorted((window.others for window in windows if window.is_disturbed), reverse=True)
    speeds = sorted(window.speed for window in windows if window.speed < SPEED_MIN)
    walls_s = sorted(window.wall_s for window in windows if window.wall_s < WALL_MIN_S)
    return ((*kind, bad) for kind, bad in zip(_DOUBTS, (others, speeds, walls_s), strict=True))


def reservation(samples: Sequence[Sample]) -> str:
    """Why more than half of these samples are unreliable, in a few words; empty if they are sound."""
    doubts = [(text, bad) for _, text, _, bad in _doubts(samples) if 2 * len(bad) > len(samples)]
    return ", ".join(text.format(shown(median(bad))) for text, bad in doubts)


def describe_quality(samples: Sequence[Sample]) -> str:
    """The quality of a whole run in sentences; empty if every measurement is sound."""
    sentences = []
    for name, _, meaning, bad in _doubts(samples):
        if bad:
            where = f"in {len(bad)} of {len(samples)} measurements"
            sentences.append(f"{name}: {where} {meaning.format(shown(bad[0]))}")
    return "\n".join(sentences)


def http_figures(result: Result) -> dict[str, float]:
    took_ms = [1000 * latency for latency in result.latencies_s]
    per_s = len(took_ms) / result.wall_s
    return {"per_s": per_s, "http_p50_ms": percentile(took_ms, 0.5), "http_p99_ms": percentile(took_ms, 0.99)}


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of the values don't exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def shown(value: float) -> str:
    """A number with about three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
