"""What the figures must be. A gate whose scenario didn't run isn't judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.doubt import doubt_of
from bench.figures import Spread, shown
from bench.results import Results

GROWTH_MAX = 1.15


@dataclass(frozen=True)
class Verdict:
    """One gate: what is demanded, what was measured, whether that is enough, and why that may say little (empty: it says what it says)."""

    name: str
    demand: str
    measured: str
    holds: bool
    doubt: str = ""


@dataclass(frozen=True)
class _Gate:
    name: str
    demand: str
    rows: tuple[str, ...]
    measure: Callable[[Results, str], Spread]
    is_enough: Callable[[float], bool]


def _cpu(row: str) -> Callable[[Results, str], Spread]:
    return lambda results, stage: results.cpu_ms(stage, row)


def _figure(row: str, name: str) -> Callable[[Results, str], Spread]:
    return lambda results, stage: results.figure(stage, row, name)


def _statements(row: str) -> Callable[[Results, str], Spread]:
    return lambda results, stage: Spread.of([results.counts[stage][row].per_unit])


def _at_most(limit: float) -> Callable[[float], bool]:
    return lambda value: value <= limit


def _at_least(limit: float) -> Callable[[float], bool]:
    return lambda value: value >= limit


def _rate_ratio(results: Results, stage: str) -> Spread:
    return results.ratio("orders saturated", stage, stage, lambda sample: sample.rate("orders_per_s"), row_below="synchronous")


def _cpu_ratio(results: Results, stage: str) -> Spread:
    return results.ratio("orders saturated", stage, stage, lambda sample: sample.cpu_ms, row_below="synchronous")


_SATURATED, _LIGHT, _BURST = "orders saturated", "orders light", "orders burst"
_GATES = (
    _Gate("orders/s against synchronous, at speed 1", "≥ 5 ×", (_SATURATED, "synchronous"), _rate_ratio, _at_least(5)),
    _Gate("CPU per order against synchronous", "≤ 0.25 ×", (_SATURATED, "synchronous"), _cpu_ratio, _at_most(0.25)),
    _Gate("CPU per order", "≤ 3.0 ms, goal 2.0", (_SATURATED,), _cpu(_SATURATED), _at_most(3.0)),
    _Gate("SQL statements per order", "≤ 2", (_SATURATED,), _statements(_SATURATED), _at_most(2)),
    _Gate("broker messages per order", "≤ 0.2", (_SATURATED,), _figure(_SATURATED, "messages_per_order"), _at_most(0.2)),
    _Gate("light load: accepted → created p50", "≤ 20 ms", (_LIGHT,), _figure(_LIGHT, "created_p50_ms"), _at_most(20)),
    _Gate("light load: accepted → created p99", "≤ 100 ms", (_LIGHT,), _figure(_LIGHT, "created_p99_ms"), _at_most(100)),
    _Gate("burst: requests lost", "0", (_BURST,), _figure(_BURST, "lost"), _at_most(0)),
    _Gate("burst: 5xx or no answer", "0", (_BURST,), _figure(_BURST, "server_errors"), _at_most(0)),
    _Gate("burst: intake", "≥ 600/s", (_BURST,), _figure(_BURST, "accepted_per_s"), _at_least(600)),
    _Gate("burst: drained after the last accept", "≤ 10 s", (_BURST,), _figure(_BURST, "drained_s"), _at_most(10)),
    _Gate("CPU per notification, HTTP → row", "≤ 1 ms", ("notify intake",), _cpu("notify intake"), _at_most(1)),
    _Gate("notifications finalised", "≥ 500/s", ("notify whole",), _figure("notify whole", "per_s"), _at_least(500)),
    _Gate("CPU per poll, nothing new", "≤ 0.6 ms", ("poll 304",), _cpu("poll 304"), _at_most(0.6)),
    _Gate("SQL statements per poll, nothing new", "≤ 1 (the token)", ("poll 304",), _statements("poll 304"), _at_most(1)),
    _Gate("CPU per poll, whole order", "≤ 0.6 ms", ("poll 200",), _cpu("poll 200"), _at_most(0.6)),
    _Gate("SQL statements per poll, whole order", "≤ 1", ("poll 200",), _statements("poll 200"), _at_most(1)),
    _Gate("Flower answers under load", "≤ 1 s", ("orders with Flower",), _figure("orders with Flower", "flower_slowest_s"), _at_most(1)),
    _Gate("Flower's failed answers", "0", ("orders with Flower",), _figure("orders with Flower", "flower_failures"), _at_most(0)),
)  # fmt: skip


def judge(results: Results, stage: str) -> Iterator[Verdict]:
    """The gates of one stage, in their order."""
    for gate in _GATES:
        is_counted = "statements" not in gate.name or gate.rows[0] in results.counts.get(stage, {})
        if is_counted and all(results.has(stage, row) for row in gate.rows):
            measured = gate.measure(results, stage)
            doubt = doubt_of([sample for row in gate.rows for sample in results.samples[stage][row]])
            yield Verdict(gate.name, gate.demand, str(measured), gate.is_enough(measured.median), doubt)


def judge_growth(results: Results, young: str, old: str) -> Iterator[Verdict]:
    """What became dearer with a long history."""
    for row, ratio in growth_ratios(results, young, old).items():
        doubt = doubt_of([*results.samples[young][row], *results.samples[old][row]])
        yield Verdict(f"{row}: old ÷ young", f"≤ {shown(GROWTH_MAX)} ×", str(ratio), ratio.median <= GROWTH_MAX, doubt)


def growth_ratios(results: Results, young: str, old: str) -> dict[str, Spread]:
    """CPU per unit with the long history, over that with the short one."""
    rows = [row for row in results.samples.get(old, {}) if results.has(young, row)]
    return {row: results.ratio(row, old, young, lambda sample: sample.cpu_ms) for row in rows}
