"""Runs the scenarios and reports what was measured."""

import argparse
import contextlib
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import gates, report
from bench.meter import Calibration
from bench.results import Results, Sample
from bench.scenarios import COUNTED, FULL, QUICK, SMALL, Size, notify, orders, reads
from bench.seed import seed_catalogue, seed_open_orders
from bench.stage import Stage, open_stage
from project.local.errors import LocalError
from project.local.history import multiply
from project.local.progress import step
from project.local.state import ROOT, State

Measure = Callable[[Stage, Size], Iterator[Sample]]
Shops = Sequence[tuple[str, Path, int]]  # label, checkout, orders of history
GROWTH, GATEWAY = "growth", "gateway"
SCENARIOS: Mapping[str, Measure] = {
    "sync": orders.measure_synchronous,
    "orders": orders.measure,
    "notify": notify.measure,
    "poll": reads.measure,
    "cart": orders.measure_cart,
    GATEWAY: notify.measure_gateway,
    GROWTH: reads.measure_growth,
}
DEFAULT = [name for name in SCENARIOS if name != GATEWAY]
# How many orders of a history are placed and paid over HTTP; the others are copies of them. A long history is
# reused by later runs until a migration changes.
BOUGHT = 500


@dataclass(frozen=True)
class Options:
    size: Size
    only: Sequence[str]
    projects: Sequence[Path]
    folder: Path
    gate: bool


def parse(argv: Sequence[str] | None) -> Options:
    what = "Measures what an order costs and how fast it is, on servers of its own."
    parser = argparse.ArgumentParser(prog="bin/bench", description=what)
    add = parser.add_argument
    only_help = f"scenarios: {', '.join(SCENARIOS)}; by default all but {GATEWAY}"
    add("--only", nargs="+", choices=SCENARIOS, default=DEFAULT, metavar="NAME", help=only_help)
    add("--quick", action="store_true", help="fewer and shorter repetitions")
    add("--repeat", type=int, metavar="N", help="number of repetitions")
    project_help = "another checkout to measure; twice: both, in turns"
    add("--project", type=Path, action="append", metavar="DIR", help=project_help)
    default_out = ROOT / ".local" / "bench"
    add("--out", type=Path, default=default_out, metavar="DIR", help="data and results (.local/bench)")
    gate_help = "exit status 1 if a gate doesn't hold or anything was lost or rejected"
    add("--gate", action="store_true", help=gate_help)
    parsed = parser.parse_args(argv)
    size = QUICK if parsed.quick else FULL
    size = replace(size, repeats=parsed.repeat or size.repeats)
    projects = [path.resolve() for path in parsed.project or [ROOT]]
    return Options(size, parsed.only, projects, parsed.out.resolve(), gate=parsed.gate)


def run(options: Options) -> int:
    """Measures, prints and writes what the options select; returns the exit status: 1 if `gate` is set and a
    gate or anything else failed. Raises: LocalError when a server or a program fails.
    """
    from bench.chart import draw  # noqa: PLC0415 - only `bin/bench` has matplotlib, this module's tests don't

    results = Results()
    counts = options.size.histories
    folder = options.folder
    names = [project.name for project in options.projects]
    projects = {path.name if names.count(path.name) == 1 else str(path): path for path in options.projects}
    histories = [f"{count:,} orders" for count in counts]
    with State(folder).lock(), Calibration(folder) as calibration:
        if scenarios := [name for name in options.only if name != GROWTH]:
            shops = [(label, project, counts[0]) for label, project in projects.items()]
            _measure(shops, scenarios, options, calibration, results)
        if GROWTH in options.only:
            shops = [(label, options.projects[-1], n) for label, n in zip(histories, counts, strict=True)]
            _measure(shops, [GROWTH], options, calibration, results)
        results.settle(calibration.fastest_s)
    verdicts = [verdict for label in projects for verdict in gates.judge(results, label)]
    verdicts += gates.judge_growth(results, *histories)
    report.write(results, verdicts, projects, folder)
    is_drawn = draw(results, next(iter(projects)), histories, folder / "chart.png")
    print(f"{folder}: results.json, report.txt{', chart.png' if is_drawn else ''}")
    is_sound = not results.faults and all(verdict.holds for verdict in verdicts)
    return 1 if options.gate and not is_sound else 0


def _measure(
    shops: Shops, names: Sequence[str], options: Options, calibration: Calibration, results: Results
) -> None:
    """Measures shops side by side, in turns; then counts their SQL statements and audits their books."""
    programs = ["web", "worker", "beat", *(["baseline"] if "sync" in names else [])]
    with contextlib.ExitStack() as stack:
        stages = []
        for label, project, count in shops:
            folder = options.folder / "stages" / re.sub(r"\W+", "-", label).strip("-")
            migrations = b"".join(path.read_bytes() for path in sorted(project.glob("*/migrations/*.py")))
            kept = hashlib.sha256(migrations).hexdigest() if count > options.size.histories[0] else ""
            marker = folder / "complete"
            if not kept or not marker.exists() or marker.read_text() != kept:
                State(folder).reset()  # PostgreSQL's data may be elsewhere, behind a symbolic link
                shutil.rmtree(folder, ignore_errors=True)
            with step(f"{label}: servers, {count:,} orders of history"):
                opening = open_stage(label, project, folder, calibration, programs)
                stages.append(stack.enter_context(opening))
                if not marker.exists():
                    _load_history(stages[-1], count)
                marker.write_text(kept)
        _take_turns(stages, names, options.size, results)
        for stage in stages if GROWTH not in names else []:
            with step(f"{stage.label}: SQL statements, audit of the books"):
                stage.counts_statements = True
                for sample in _samples(stage, names, COUNTED):
                    of_stage = results.statements.setdefault(stage.label, {})
                    of_stage[sample.row] = sample.window.statements / sample.units
                try:
                    stage.manage("audit")
                except LocalError as error:
                    results.faults.append(f"{stage.label}: {error}")


def _load_history(stage: Stage, count: int) -> None:
    """Creates `count` paid orders, each by a different buyer."""
    seed_catalogue(stage)
    orders = seed_open_orders(stage, min(BOUGHT, count))
    notify.pay_orders(stage, orders)
    with stage.at_rest():
        multiply(stage.connection, count // len(orders) - 1)
        stage.vacuum()


def _take_turns(stages: Sequence[Stage], names: Sequence[str], size: Size, results: Results) -> None:
    """Measures row by row, on one stage right after the other, since the machine's speed changes within
    seconds. Warms up each stage before that.
    """
    for stage in stages:
        for _ in _samples(stage, names, SMALL):
            pass
    for number in range(1, size.repeats + 1):
        for name in names:
            running = [(stage, SCENARIOS[name](stage, size)) for stage in rotated(stages, number)]
            for stage, sample in in_turns(running):
                results.add(stage.label, sample)
                report.print_sample(stage.label, sample, turn=f"{number}/{size.repeats}")


def _samples(stage: Stage, names: Sequence[str], size: Size) -> Iterator[Sample]:
    """The samples of all scenarios except the gateway's, which takes minutes at any size."""
    for name in names:
        if name != GATEWAY:
            yield from SCENARIOS[name](stage, size)


def in_turns(running: Sequence[tuple[Stage, Iterator[Sample]]]) -> Iterator[tuple[Stage, Sample]]:
    """Measures the first row on each stage, then the second, …; the other stages are paused meanwhile."""
    left = [*running]
    while left:
        for stage, samples in [*left]:
            with contextlib.ExitStack() as stack:
                for other in (other for other, _ in left if other is not stage):
                    stack.enter_context(other.at_rest())
                sample = next(samples, None)
            if sample is None:
                left.remove((stage, samples))
            else:
                yield stage, sample


def rotated(items: Sequence[Stage], number: int) -> list[Stage]:
    """The items in the order of round `number`: A B C, B C A, C A B, … so that none is always first."""
    start = (number - 1) % len(items)
    return [*items[start:], *items[:start]]
