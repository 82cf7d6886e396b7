"""The limits that the figures are held to. A gate whose scenario didn't run isn't judged."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.results import Results, Spread, reservation, shown

GROWTH_MAX = 1.15
SATURATED, LIGHT, BURST, SYNCHRONOUS = "orders saturated", "orders light", "orders burst", "synchronous"
# Name, row, measure, ≤ or ≥, limit and unit. A measure other than CPU and SQL statements is one of the row's
# figures; × is the ratio to the synchronous baseline, with rates at speed 1.
_GATES = (
    ("orders/s against synchronous, at speed 1", SATURATED, "orders_per_s ×", "≥", 5, " ×"),
    ("CPU per order against synchronous", SATURATED, "cpu ×", "≤", 0.25, " ×"),
    ("CPU per order", SATURATED, "cpu", "≤", 3, " ms"),
    ("SQL statements per order", SATURATED, "statements", "≤", 2, ""),
    ("broker messages per order", SATURATED, "messages_per_order", "≤", 0.2, ""),
    ("light load: accepted → created p50", LIGHT, "created_p50_ms", "≤", 20, " ms"),
    ("light load: accepted → created p99", LIGHT, "created_p99_ms", "≤", 100, " ms"),
    ("burst: requests lost", BURST, "lost", "≤", 0, ""),
    ("burst: 5xx", BURST, "server_errors", "≤", 0, ""),
    ("burst: intake", BURST, "accepted_per_s", "≥", 600, "/s"),
    ("burst: drained after the last accept", BURST, "drained_s", "≤", 10, " s"),
    ("CPU per notification, HTTP → row", "notify intake", "cpu", "≤", 1, " ms"),
    ("notifications finalised", "notify whole", "per_s", "≥", 500, "/s"),
    ("CPU per poll, nothing new", "poll 304", "cpu", "≤", 0.6, " ms"),
    ("SQL statements per poll, nothing new", "poll 304", "statements", "≤", 1, ""),
    ("CPU per poll, whole order", "poll 200", "cpu", "≤", 0.6, " ms"),
    ("SQL statements per poll, whole order", "poll 200", "statements", "≤", 1, ""),
)


@dataclass(frozen=True)
class Verdict:
    """The result of one gate. `reservation` says why the measurement may be unreliable, if it may."""

    name: str
    demand: str
    measured: str
    holds: bool
    reservation: str = ""


def judge(results: Results, stage: str) -> Iterator[Verdict]:
    """Judges the gates of one stage."""
    for name, row, what, sign, limit, unit in _GATES:
        rows = [row, SYNCHRONOUS] if what.endswith("×") else [row]
        is_counted = what != "statements" or row in results.statements.get(stage, {})
        if is_counted and results.has(stage, *rows):
            measured = _measured(results, stage, row, what)
            holds = measured.median >= limit if sign == "≥" else measured.median <= limit
            samples = [sample for needed in rows for sample in results.samples[stage][needed]]
            yield Verdict(name, f"{sign} {limit}{unit}", str(measured), holds, reservation(samples))


def _measured(results: Results, stage: str, row: str, what: str) -> Spread:
    if what == "statements":
        return Spread.of([results.statements[stage][row]])
    if what == "cpu":
        return results.cpu_ms(stage, row)
    if not what.endswith(" ×"):
        return results.figure(stage, row, what)
    above, below = (stage, row), (stage, SYNCHRONOUS)
    if what == "cpu ×":
        return results.ratio(above, below)
    return results.ratio(above, below, lambda sample: sample.rate(what.removesuffix(" ×")))


def judge_growth(results: Results, young: str, old: str) -> Iterator[Verdict]:
    """Judges the growth of each row's cost with a long history."""
    for row, ratio in results.ratios(old, young).items():
        samples = [*results.samples[young][row], *results.samples[old][row]]
        name = f"{row}: old ÷ young"
        demand = f"≤ {shown(GROWTH_MAX)} ×"
        yield Verdict(name, demand, str(ratio), ratio.median <= GROWTH_MAX, reservation(samples))
