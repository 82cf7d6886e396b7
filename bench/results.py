"""All that was measured: samples by stage and row, with medians and spreads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.doubt import doubt_of
from bench.figures import Sample, Spread
from bench.scenarios.statements import Counted

KINDS = ("web", "worker", "beat", "postgres", "valkey", "flower")


@dataclass
class Results:
    """Samples and counts of each stage, in the order of their arrival."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    counts: dict[str, dict[str, Counted]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    unit_s: float = 0.0

    def add(self, stage: str, sample: Sample) -> None:
        self.samples.setdefault(stage, {}).setdefault(sample.row, []).append(sample)
        self.faults += [f"{stage}: {sample.row}: {fault}" for fault in sample.faults]

    def add_counts(self, stage: str, counted: Sequence[Counted]) -> None:
        self.counts.setdefault(stage, {}).update({item.row: item for item in counted})

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

    def ratio(self, row: str, above: str, below: str, value: Callable[[Sample], float], *, row_below: str | None = None) -> Spread:
        """Of one value on two stages (or of two rows), taken pair by pair: each pair was measured a moment apart."""
        pairs = zip(self.samples[above][row], self.samples[below][row_below or row], strict=False)
        return Spread.of([value(one) / value(other) for one, other in pairs])

    def series(self, stage: str, row: str, name: str) -> Sequence[float]:
        """Of the repetition whose CPU time is the middle one."""
        ordered = sorted(self.samples[stage][row], key=lambda sample: sample.window.ms_per(sample.units))
        return ordered[len(ordered) // 2].series[name]

    def as_json(self) -> dict[str, Any]:
        """Everything but the long series."""
        return {
            "stages": {
                stage: {row: [_sample_json(sample) for sample in samples] for row, samples in rows.items()}
                for stage, rows in self.samples.items()
            },
            "statements": {stage: {row: vars(item) for row, item in rows.items()} for stage, rows in self.counts.items()},
            "faults": self.faults,
        }


def _sample_json(sample: Sample) -> Mapping[str, Any]:
    window = sample.window
    return {
        "units": sample.units,
        "ms_per_unit_at_speed_1": window.ms_per(sample.units),
        "raw_ms_per_unit": window.raw_ms_per(sample.units),
        "ms_per_unit_by_kind": {kind: window.ms_per(sample.units, kind) for kind in window.cpu_s},
        "client_ms_per_unit": 1000 * window.client_s / sample.units,
        "wall_s": window.wall_s,
        "speed": window.speed,
        "others_cores": window.others,
        "is_doubtful": bool(doubt_of([sample])),
        "figures": dict(sample.figures),
        "faults": list(sample.faults),
    }
