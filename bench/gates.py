"""What the figures must be. A gate whose scenario didn't run isn't judged."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.results import Results, Spread, reservation, shown

GROWTH_MAX = 1.15


@dataclass(frozen=True)
class Verdict:
    """One gate: what is demanded, what was measured, whether it holds, and why that may mean little (empty:
    it means what it says).
    """

    name: str
    demand: str
    measured: str
    holds: bool
    reservation: str = ""


def _cpu(results: Results, stage: str, row: str) -> Spread:
    return results.cpu_ms(stage, row)


def _statements(results: Results, stage: str, row: str) -> Spread:
    return Spread.of([results.statements[stage][row]])


def _rate_ratio(results: Results, stage: str, row: str) -> Spread:
    return results.ratio(
        row, stage, stage, lambda sample: sample.rate("orders_per_s"), row_below="synchronous"
    )


def _cpu_ratio(results: Results, stage: str, row: str) -> Spread:
    return results.ratio(row, stage, stage, lambda sample: sample.cpu_ms, row_below="synchronous")


def _figure(name: str) -> Callable[[Results, str, str], Spread]:
    return lambda results, stage, row: results.figure(stage, row, name)


_SATURATED, _LIGHT, _BURST = "orders saturated", "orders light", "orders burst"
# Name, row, what is measured, ≤ or ≥, limit and unit.
_GATES = (
    ("orders/s against synchronous, at speed 1", _SATURATED, _rate_ratio, "≥", 5, " ×"),
    ("CPU per order against synchronous", _SATURATED, _cpu_ratio, "≤", 0.25, " ×"),
    ("CPU per order", _SATURATED, _cpu, "≤", 3, " ms"),
    ("SQL statements per order", _SATURATED, _statements, "≤", 2, ""),
    ("broker messages per order", _SATURATED, _figure("messages_per_order"), "≤", 0.2, ""),
    ("light load: accepted → created p50", _LIGHT, _figure("created_p50_ms"), "≤", 20, " ms"),
    ("light load: accepted → created p99", _LIGHT, _figure("created_p99_ms"), "≤", 100, " ms"),
    ("burst: requests lost", _BURST, _figure("lost"), "≤", 0, ""),
    ("burst: 5xx or no answer", _BURST, _figure("server_errors"), "≤", 0, ""),
    ("burst: intake", _BURST, _figure("accepted_per_s"), "≥", 600, "/s"),
    ("burst: drained after the last accept", _BURST, _figure("drained_s"), "≤", 10, " s"),
    ("CPU per notification, HTTP → row", "notify intake", _cpu, "≤", 1, " ms"),
    ("notifications finalised", "notify whole", _figure("per_s"), "≥", 500, "/s"),
    ("CPU per poll, nothing new", "poll 304", _cpu, "≤", 0.6, " ms"),
    ("SQL statements per poll, nothing new", "poll 304", _statements, "≤", 1, ""),
    ("CPU per poll, whole order", "poll 200", _cpu, "≤", 0.6, " ms"),
    ("SQL statements per poll, whole order", "poll 200", _statements, "≤", 1, ""),
)


def judge(results: Results, stage: str) -> Iterator[Verdict]:
    """The gates of one stage, in their order."""
    for name, row, measure, sign, limit, unit in _GATES:
        rows = [row, "synchronous"] if measure in (_rate_ratio, _cpu_ratio) else [row]
        is_counted = measure is not _statements or row in results.statements.get(stage, {})
        if is_counted and all(results.has(stage, needed) for needed in rows):
            measured = measure(results, stage, row)
            holds = measured.median >= limit if sign == "≥" else measured.median <= limit
            samples = [sample for needed in rows for sample in results.samples[stage][needed]]
            yield Verdict(name, f"{sign} {limit}{unit}", str(measured), holds, reservation(samples))


def judge_growth(results: Results, young: str, old: str) -> Iterator[Verdict]:
    """What became dearer with a long history."""
    for row, ratio in growth_ratios(results, young, old).items():
        samples = [*results.samples[young][row], *results.samples[old][row]]
        yield Verdict(
            f"{row}: old ÷ young",
            f"≤ {shown(GROWTH_MAX)} ×",
            str(ratio),
            ratio.median <= GROWTH_MAX,
            reservation(samples),
        )


def growth_ratios(results: Results, young: str, old: str) -> dict[str, Spread]:
    """CPU per unit with the long history, over that with the short one."""
    rows = [row for row in results.samples.get(old, {}) if results.has(young, row)]
    return {row: results.ratio(row, old, young, lambda sample: sample.cpu_ms) for row in rows}
