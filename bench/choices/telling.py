"""What came of the choices: a table for each, and all of it as JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.choices.catalogue import CHOICES
from bench.choices.choice import Choice
from bench.doubt import describe_doubts
from bench.figures import Spread
from bench.report import latency_cells, others_cell, rate_cell, rate_name, table, unit_line
from bench.results import Results

OWN = "the shop's"
# The others use next to nothing; what they use is in the total.
_KINDS = ("web", "worker", "postgres", "valkey")
# Further columns. At light load all rates are that of the load.
_EXTRAS = {
    "orders saturated": {"accepted_per_s": "accepted per s", "messages_per_order": "messages per order"},
    "orders burst": {"accepted_per_s": "accepted per s", "drained_s": "drained after s"},
    "orders light": {"messages_per_order": "messages per order"},
}
_GIVEN_RATE = "orders light"

EXPLANATION = (
    f"CPU ms: user + system of all server processes per order, request or signature, at speed 1. ÷ {OWN}: taken pair by pair, each pair in\n"
    "the same round; rates at speed 1. Medians [least..greatest] of the rounds. A ratio whose spread holds 1, or that is no further from 1\n"
    "than those of `control`, shows no difference: programs live through all rounds, so a spread doesn't hold what differs from one start\n"
    "to the next. others: cores used by other programs. p50, p99: accepted → created where there are\n"
    "orders, else the HTTP request."
)


def choice_text(choice: Choice, results: Results) -> str:
    """A table for each row that was measured, what else is to be known of the alternatives, and what went wrong."""
    parts = [row_table(choice, results, row) for row in results.samples[choice.own.name]]
    notes = [[f"  {alternative.name}", alternative.says] for alternative in choice.alternatives if alternative.says]
    parts.append(table(notes) if notes else "")
    parts.append("Not as it must be:\n" + "\n".join(f"  {fault}" for fault in results.faults) if results.faults else "")
    parts.append(describe_doubts(results.all()))
    return "\n\n".join(part for part in parts if part)


def row_table(choice: Choice, results: Results, row: str) -> str:
    """The alternatives under each other, the shop's own first."""
    extras = _EXTRAS.get(row, {})
    head = [
        row, "CPU ms", f"÷ {OWN}", *_KINDS, "per s", f"÷ {OWN}", "p50 ms", "p99 ms", *extras.values(), "speed", "others",
    ]  # fmt: skip
    lines = [head]
    for alternative in choice.alternatives:
        name = alternative.name
        if not results.has(name, row):
            continue
        parts = [_cell(results.cpu_ms(name, row, kind).median) for kind in _KINDS]
        further = [_figure(results, name, row, figure) for figure in extras]
        speed = results.spread(name, row, lambda sample: sample.window.speed)
        mark = f" ({OWN})" if alternative is choice.own else ""
        mark += " FAULTS" if any(sample.faults for sample in results.samples[name][row]) else ""
        lines.append([
            f"{name}{mark}", str(results.cpu_ms(name, row)), _shown(cpu_ratio(choice, results, name, row)), *parts,
            rate_cell(results, name, row), _shown(rate_ratio(choice, results, name, row)), *latency_cells(results, name, row), *further,
            _cell(speed.median), others_cell(results, name, row),
        ])  # fmt: skip
    return table(lines)


def cpu_ratio(choice: Choice, results: Results, name: str, row: str) -> Spread | None:
    """CPU per unit over that of the shop's own setting; None for that itself."""
    if name == choice.own.name:
        return None
    return results.ratio(row, name, choice.own.name, lambda sample: sample.cpu_ms)


def rate_ratio(choice: Choice, results: Results, name: str, row: str) -> Spread | None:
    """Rate at speed 1 over that of the shop's own setting; None for that itself, and where the load gives the rate."""
    figure = rate_name(results, name, row)
    if name == choice.own.name or row == _GIVEN_RATE or figure is None:
        return None
    return results.ratio(row, name, choice.own.name, lambda sample: sample.rate(figure))


def choice_json(choice: Choice, results: Results) -> dict[str, Any]:
    """Each sample, and the ratios."""
    ratios = {
        row: {
            name: {"cpu": _spread_json(cpu_ratio(choice, results, name, row)), "rate": _spread_json(rate_ratio(choice, results, name, row))}
            for name in (other.name for other in choice.others)
            if results.has(name, row)
        }
        for row in results.samples[choice.own.name]
    }
    return {
        "says": choice.says,
        "own": choice.own.name,
        "notes": {alternative.name: alternative.says for alternative in choice.alternatives},
        "ratios": ratios,
        **results.as_json(),
    }


def write_choices(folder: Path, found: Mapping[str, Results], origin: Mapping[str, Any]) -> None:
    """Writes choices.json and choices.txt. `origin` says where the figures come from."""
    choices = {name: choice_json(CHOICES[name], results) for name, results in found.items()}
    (folder / "choices.json").write_text(json.dumps({**origin, "choices": choices}, indent=1, ensure_ascii=False) + "\n")
    texts = [f"== {name}: {CHOICES[name].says}\n\n{choice_text(CHOICES[name], results)}" for name, results in found.items()]
    unit_s = next(iter(found.values())).unit_s
    (folder / "choices.txt").write_text("\n\n".join([*texts, f"{EXPLANATION}\n{unit_line(unit_s)}"]) + "\n")


def _spread_json(spread: Spread | None) -> Mapping[str, float] | None:
    return vars(spread) if spread is not None else None


def _shown(spread: Spread | None) -> str:
    return "" if spread is None else str(spread)


def _figure(results: Results, name: str, row: str, figure: str) -> str:
    """Empty where an alternative has no such thing: an order made in the request sends no messages."""
    return str(results.figure(name, row, figure)) if figure in results.samples[name][row][0].figures else ""


def _cell(value: float) -> str:
    return str(Spread.of([value]))
