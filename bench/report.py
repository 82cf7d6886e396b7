"""The tables at the end of a run."""

import unicodedata
from collections.abc import Sequence

from bench.figures import shown
from bench.gates import Verdict
from bench.meter import OTHERS_MAX_CORES
from bench.results import KINDS, Results

# Figures of a row that the table has a column for, in the order of preference.
_RATES = ("orders_per_s", "per_s")
_LATENCIES = (("created_p50_ms", "created_p99_ms"), ("http_p50_ms", "http_p99_ms"))


def cpu_table(results: Results, stage: str) -> str:
    """CPU per unit of each row: at speed 1 with its spread and its parts, raw beside it, rates and latencies."""
    rows = []
    for row, samples in results.samples[stage].items():
        window = samples[len(samples) // 2].window
        parts = [shown(results.cpu_ms(stage, row, kind).median) if kind in window.cpu_s else "" for kind in KINDS]
        raw = results.spread(stage, row, lambda sample: sample.window.raw_ms_per(sample.units))
        speed = results.spread(stage, row, lambda sample: sample.window.speed)
        rows.append([
            row, str(results.cpu_ms(stage, row)), *parts, shown(raw.median), shown(speed.median), others_cell(results, stage, row),
            rate_cell(results, stage, row), *latency_cells(results, stage, row),
        ])  # fmt: skip
    head = ["", "CPU ms at speed 1", *KINDS, "raw ms", "speed", "others", "per s", "p50 ms", "p99 ms"]
    return table([head, *rows])


def unit_line(unit_s: float) -> str:
    """What speed 1 is on this machine, without which its figures can't be held against another's."""
    return f"Speed 1 here: {1000 * unit_s:.2f} ms for the calibration's piece of work. Figures of machines compare as these times do."


def explanation() -> str:
    """What the columns of `cpu_table` mean."""
    return (
        "CPU ms: user + system of all server processes per order, request or tick; the client is left out. At speed 1: raw × speed of the\n"
        f"cores meanwhile. others: cores used by other programs; ! where more than {OTHERS_MAX_CORES}. p50, p99: accepted → created where there\n"
        "are orders, else the HTTP request. Per s: orders created, or requests answered. Medians [least..greatest]."
    )


def statements_table(results: Results, stage: str) -> str:
    """SQL statements per unit."""
    rows = [[item.row, shown(item.per_unit), shown(item.without_transactions)] for item in results.counts.get(stage, {}).values()]
    return table([["SQL statements per unit", "all", "without BEGIN, COMMIT"], *rows]) if rows else ""


def more_figures(results: Results, stage: str) -> str:
    """Every other figure of the rows, a line each."""
    shown_already = {*_RATES, *(name for pair in _LATENCIES for name in pair), "rejected", "lost", "server_errors"}
    lines = []
    for row, samples in results.samples[stage].items():
        names = [name for name in samples[0].figures if name not in shown_already and not row.startswith("growth")]
        if names:
            lines.append([row, "  ".join(f"{name} {results.figure(stage, row, name)}" for name in names)])
    return table(lines) if lines else ""


def gates_table(verdicts: Sequence[Verdict]) -> str:
    return table(
        [
            ["gate", "demanded", "measured", ""],
            *([item.name, item.demand, item.measured, _judgement(item)] for item in verdicts),
        ]
    )


def _judgement(verdict: Verdict) -> str:
    # Disturbance makes dearer, so what holds in spite of it needs no doubt.
    if verdict.holds:
        return "ok"
    return f"FAILS, in doubt: {verdict.doubt}" if verdict.doubt else "FAILS"


def comparison_table(results: Results, before: str, after: str) -> str:
    """CPU per unit of two checkouts, and their ratio."""
    rows = []
    for row in results.samples[before]:
        if results.has(after, row):
            ratio = results.ratio(row, after, before, lambda sample: sample.cpu_ms)
            rows.append([row, str(results.cpu_ms(before, row)), str(results.cpu_ms(after, row)), str(ratio)])
    return table([["CPU ms at speed 1", before, after, f"{after} ÷ {before}"], *rows])


def others_cell(results: Results, stage: str, row: str) -> str:
    """Cores used by other programs, and how many of the repetitions that disturbed."""
    samples = results.samples[stage][row]
    disturbed = sum(sample.window.is_disturbed for sample in samples)
    others = results.spread(stage, row, lambda sample: sample.window.others)
    return shown(others.median) + (f" ! {disturbed} of {len(samples)}" if disturbed else "")


def rate_name(results: Results, stage: str, row: str) -> str | None:
    """Which of the row's figures is its rate."""
    figures = results.samples[stage][row][0].figures
    return next((name for name in _RATES if name in figures), None)


def rate_cell(results: Results, stage: str, row: str) -> str:
    name = rate_name(results, stage, row)
    return str(results.figure(stage, row, name)) if name else ""


def latency_cells(results: Results, stage: str, row: str) -> list[str]:
    """p50 and p99."""
    figures = results.samples[stage][row][0].figures
    names = next((pair for pair in _LATENCIES if pair[0] in figures), None)
    return [str(results.figure(stage, row, name)) for name in names] if names else ["", ""]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side; the first is left-aligned, the others are right-aligned when they are numbers."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(_padded(row, column, width) for column, width in enumerate(widths)).rstrip() for row in rows)


def _padded(row: Sequence[str], column: int, width: int) -> str:
    cell = row[column]
    space = " " * (width - _width(cell))
    return space + cell if column and cell[:1].isdigit() else cell + space


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
