"""What is printed while something is measured, and the tables at the end of a run."""

import platform
import subprocess
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench.gates import Verdict
from bench.meter import OTHERS_MAX_CORES
from bench.results import KINDS, Results, Sample, shown

# Figures that the table has a column for, in the order of preference.
_RATES = ("orders_per_s", "per_s")
_LATENCIES = (("created_p50_ms", "created_p99_ms"), ("http_p50_ms", "http_p99_ms"))
_ELSEWHERE = {*_RATES, *(name for pair in _LATENCIES for name in pair), "rejected", "lost", "server_errors"}


def print_sample(stage: str, sample: Sample, *, turn: str) -> None:
    """A line for a measurement, and one for each fault. Its figures go by the fastest speed seen until
    now.
    """
    window = sample.window
    rate = next((f", {shown(sample.figures[name])}/s" for name in _RATES if name in sample.figures), "")
    print(
        f"{stage}  {turn}  {sample.row:24} {shown(sample.cpu_ms):>6} ms{rate}"
        f"  ({window.wall_s:.1f} s, speed {window.speed:.2f}, others "
        f"{window.others:.2f}{' !' if window.is_disturbed else ''})"
        + "".join(f"\n    {fault}" for fault in sample.faults),
        flush=True,
    )


def stage_report(results: Results, stage: str) -> list[str]:
    """CPU per unit of each row, every other figure, and SQL statements per unit."""
    head = ["", "CPU ms at speed 1", *KINDS, "raw ms", "speed", "others", "per s", "p50 ms", "p99 ms"]
    cpu, more = [head], []
    for row, samples in results.samples[stage].items():
        cpu.append(_cpu_row(results, stage, row, samples))
        names = [
            name for name in samples[0].figures if name not in _ELSEWHERE and not row.startswith("growth")
        ]
        if names:
            more.append([row, "  ".join(f"{name} {results.figure(stage, row, name)}" for name in names)])
    counted = [[row, shown(count)] for row, count in results.statements.get(stage, {}).items()]
    return [
        f"== {stage}",
        table(cpu),
        table(more) if more else "",
        table([["SQL statements per unit", ""], *counted]) if counted else "",
    ]


def _cpu_row(results: Results, stage: str, row: str, samples: Sequence[Sample]) -> list[str]:
    kinds = samples[0].window.cpu_s
    parts = [shown(results.cpu_ms(stage, row, kind).median) if kind in kinds else "" for kind in KINDS]
    raw = results.spread(stage, row, lambda sample: sample.window.raw_ms_per(sample.units))
    speed = results.spread(stage, row, lambda sample: sample.window.speed)
    others = results.spread(stage, row, lambda sample: sample.window.others)
    disturbed = sum(sample.window.is_disturbed for sample in samples)
    flag = f" ! {disturbed} of {len(samples)}" if disturbed else ""
    figures = samples[0].figures
    rate = next((str(results.figure(stage, row, name)) for name in _RATES if name in figures), "")
    pair = next((pair for pair in _LATENCIES if pair[0] in figures), None)
    latencies = [str(results.figure(stage, row, name)) for name in pair] if pair else ["", ""]
    return [
        row, str(results.cpu_ms(stage, row)), *parts, shown(raw.median), shown(speed.median),
        shown(others.median) + flag, rate, *latencies,
    ]  # fmt: skip


def legend(unit_s: float) -> str:
    """What the columns mean, and what speed 1 is on this machine, without which its figures can't be held
    against another's.
    """
    return (
        "CPU ms: user + system of all server processes per order, request or tick; the client is left out. "
        "At speed 1: raw × speed of the\n"
        f"cores meanwhile. others: cores used by other programs; ! where more than {OTHERS_MAX_CORES}. p50, "
        f"p99: accepted → created where there\n"
        "are orders, else the HTTP request. Per s: orders created, or requests answered. Medians "
        "[least..greatest].\n"
        f"Speed 1 here: {1000 * unit_s:.2f} ms for the calibration's piece of work. Figures of machines "
        f"compare as these times do."
    )


def gates_table(verdicts: Sequence[Verdict]) -> str:
    return table(
        [
            ["gate", "demanded", "measured", ""],
            *([item.name, item.demand, item.measured, _judgement(item)] for item in verdicts),
        ]
    )


def _judgement(verdict: Verdict) -> str:
    # Disturbance makes dearer, so a gate that holds in spite of it holds.
    if verdict.holds:
        return "ok"
    return f"FAILS, in doubt: {verdict.reservation}" if verdict.reservation else "FAILS"


def comparison_table(results: Results, before: str, after: str) -> str:
    """CPU per unit of two checkouts, and their ratio."""
    rows = [["CPU ms at speed 1", before, after, f"{after} ÷ {before}"]]
    for row in results.samples[before]:
        if results.has(after, row):
            ratio = results.ratio(row, after, before, lambda sample: sample.cpu_ms)
            rows.append([row, str(results.cpu_ms(before, row)), str(results.cpu_ms(after, row)), str(ratio)])
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side; the first is left-aligned, the others are right-aligned when they are numbers."""
    widths = [max(_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(_padded(row, column, width) for column, width in enumerate(widths)).rstrip() for row in rows
    )


def _padded(row: Sequence[str], column: int, width: int) -> str:
    cell = row[column]
    space = " " * (width - _width(cell))
    return space + cell if column and cell[:1].isdigit() else cell + space


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def describe_machine(unit_s: float) -> dict[str, object]:
    """`unit_s`: the calibration's piece of work at speed 1.

    Figures "at speed 1" of two machines differ as these do.
    """
    return {
        "speed_1_ms": 1000 * unit_s,
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def read_revision(project: Path) -> str:
    """As Git describes it, or "unknown"."""
    ended = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=project, capture_output=True, text=True, check=False
    )
    return ended.stdout.strip() or "unknown"
