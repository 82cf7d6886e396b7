"""The progress output during a run, and the tables and files at its end."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.gates import Verdict
from bench.meter import OTHERS_MAX_CORES
from bench.results import KINDS, Results, Sample, describe_quality, shown

_LEGEND = f"""\
CPU ms: user + system of all server processes per unit, not the client's; at speed 1: raw × the cores' speed.
others: cores used by other programs, ! above {OTHERS_MAX_CORES}. per_s: answered requests or applied
notifications. created: accepted → created. Medians [least..greatest]. Speed 1 here: {{:.2f}} ms for the
calibration task; figures of different machines are in the ratio of these times."""


def print_sample(stage: str, sample: Sample, *, turn: str) -> None:
    """Prints a line for a measurement, relative to the fastest speed seen so far, and one for each fault."""
    window = sample.window
    rate = f", {shown(sample.figures['per_s'])}/s" if "per_s" in sample.figures else ""
    cost = f"{sample.row:24} {shown(sample.cpu_ms):>6} ms{rate}"
    mark = " !" if window.is_disturbed else ""
    quality = f"{window.wall_s:.1f} s, speed {window.speed:.2f}, others {window.others:.2f}{mark}"
    print(f"{stage}  {turn}  {cost}  ({quality})", flush=True)
    print("".join(f"    {fault}\n" for fault in sample.faults), end="", flush=True)


def write(results: Results, verdicts: Sequence[Verdict], projects: Mapping[str, Path], folder: Path) -> None:
    """Prints the tables, and writes them and all figures to the folder."""
    parts = [part for stage in results.samples for part in _stage_tables(results, stage)]
    if len(projects) == 2 and all(label in results.samples for label in projects):
        parts.append(_comparison_table(results, *projects))
    parts += [_LEGEND.format(1000 * results.unit_s), gates_table(verdicts) if verdicts else ""]
    parts += [describe_quality(results.all()), *results.faults]
    text = "\n\n".join(filter(None, parts))
    print(f"\n{text}\n")
    (folder / "report.txt").write_text(text + "\n")
    found = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "projects": {label: str(path) for label, path in projects.items()},
        **asdict(results),
        "gates": [asdict(verdict) for verdict in verdicts],
    }
    (folder / "results.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _stage_tables(results: Results, stage: str) -> list[str]:
    """CPU time and SQL statements per unit of each row, then all other figures that aren't 0."""
    cpu = [["", "CPU ms at speed 1", *KINDS, "raw ms", "speed", "others", "statements"]]
    figures = [["", ""]]
    for row, samples in results.samples[stage].items():
        cpu.append(_cpu_row(results, stage, row))
        spreads = [(name, results.figure(stage, row, name)) for name in samples[0].figures]
        figures.append([row, "  ".join(f"{name} {spread}" for name, spread in spreads if spread.greatest)])
    return [f"== {stage}", table(cpu), table(figures)]


def _cpu_row(results: Results, stage: str, row: str) -> list[str]:
    kinds = [results.cpu_ms(stage, row, kind).median for kind in KINDS]
    raw = results.spread(stage, row, lambda sample: sample.window.raw_ms_per(sample.units))
    speed = results.spread(stage, row, lambda sample: sample.window.speed)
    others = results.spread(stage, row, lambda sample: sample.window.others)
    flag = " !" if others.greatest > OTHERS_MAX_CORES else ""
    counted = results.statements.get(stage, {}).get(row)
    return [
        row, str(results.cpu_ms(stage, row)), *(shown(kind) if kind else "" for kind in kinds),
        shown(raw.median), shown(speed.median), str(others) + flag, "" if counted is None else shown(counted),
    ]  # fmt: skip


def _comparison_table(results: Results, before: str, after: str) -> str:
    """CPU time per unit of two checkouts, and their ratio."""
    rows = [["CPU ms at speed 1", before, after, f"{after} ÷ {before}"]]
    for row, ratio in results.ratios(after, before).items():
        rows.append([row, str(results.cpu_ms(before, row)), str(results.cpu_ms(after, row)), str(ratio)])
    return table(rows)


def gates_table(verdicts: Sequence[Verdict]) -> str:
    rows = [["gate", "demanded", "measured", ""]]
    for verdict in verdicts:
        # A disturbance only makes figures worse, so a gate that holds needs no reservation.
        doubt = f", in doubt: {verdict.reservation}" if verdict.reservation else ""
        outcome = "ok" if verdict.holds else f"FAILS{doubt}"
        rows.append([verdict.name, verdict.demand, verdict.measured, outcome])
    return table(rows)


def table(rows: Sequence[Sequence[str]]) -> str:
    """The rows as aligned text; numbers are right-aligned except in the first column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if place and cell[:1].isdigit() else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
