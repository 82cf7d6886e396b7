"""Runs the scenarios and reports what was measured."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import gates, report
from bench.history import multiply
from bench.meter import Calibration
from bench.results import Results, Sample
from bench.scenarios import COUNTED, SMALL, Size, notify, orders, reads
from bench.seed import seed_catalogue, seed_open_orders
from bench.stage import Stage, open_stage, remove_stage
from project.local.errors import LocalError
from project.local.progress import step
from project.local.state import State

Measure = Callable[[Stage, Size], Iterator[Sample]]
GROWTH, GATEWAY = "growth", "gateway"
# What `--only` names.
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
PROGRAMS = ("web", "worker", "beat")
# So many orders of a history are bought and paid over HTTP; the others are copies of them.
BOUGHT = 500


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    size: Size
    only: Sequence[str]
    projects: Sequence[Path]
    folder: Path
    gate: bool


def run(options: Options) -> int:
    """Measures, prints and writes what the options ask for; returns the exit status: 1 if `gate` is set and
    something isn't as it must be.

    Raises: LocalError when a server or a program doesn't do its job.
    """
    from bench.chart import draw  # noqa: PLC0415 - matplotlib is here for `bin/bench` only, and this module also for its tests

    results, histories = Results(), [f"{count:,} orders" for count in options.size.histories]
    names = [project.name for project in options.projects]
    projects = {path.name if names.count(path.name) == 1 else str(path): path for path in options.projects}
    with State(options.folder).lock(), Calibration(options.folder) as calibration:
        if scenarios := [name for name in options.only if name != GROWTH]:
            _run_scenarios(scenarios, projects, options, calibration, results)
        if GROWTH in options.only:
            _run_growth(histories, options, calibration, results)
        results.settle(calibration.fastest_s)
    verdicts = [verdict for label in projects for verdict in gates.judge(results, label)]
    verdicts += gates.judge_growth(results, *histories)
    report.write(results, verdicts, projects=projects, folder=options.folder)
    is_drawn = draw(results, next(iter(projects)), histories, options.folder / "chart.png")
    print(f"{options.folder}: results.json, report.txt{', chart.png' if is_drawn else ''}")
    is_sound = not results.faults and all(verdict.holds for verdict in verdicts)
    return 1 if options.gate and not is_sound else 0


def _run_scenarios(
    names: Sequence[str],
    projects: Mapping[str, Path],
    options: Options,
    calibration: Calibration,
    results: Results,
) -> None:
    programs = [*PROGRAMS, *(["baseline"] if "sync" in names else [])]
    with contextlib.ExitStack() as stack:
        stages = []
        for label, project in projects.items():
            folder, count = (
                options.folder / "stages" / label.strip("/").replace("/", "-"),
                options.size.histories[0],
            )
            opening = open_stage(label, project, folder, calibration, programs)
            stages.append(_open(stack, opening, folder, count))
        _take_turns(stages, names, options.size, results)
        for stage in stages:
            with step(f"{stage.label}: SQL statements, audit of the books"):
                _count_statements(stage, names, results)
                try:
                    stage.manage("audit")
                except LocalError as error:
                    results.faults.append(f"{stage.label}: {error}")


def _run_growth(labels: Sequence[str], options: Options, calibration: Calibration, results: Results) -> None:
    """Two stages side by side, measured in turns; the long history is kept for the next run, as long as no
    migration changes.
    """
    project = options.projects[-1]
    code = b"".join(path.read_bytes() for path in sorted(project.glob("*/migrations/*.py")))
    migrations = hashlib.sha256(code).hexdigest()[:12]
    with contextlib.ExitStack() as stack:
        stages = []
        for label, count in zip(labels, options.size.histories, strict=True):
            folder, is_long = (
                options.folder / "history" / f"{count}-{migrations}",
                count > options.size.histories[0],
            )
            opening = open_stage(label, project, folder, calibration, PROGRAMS)
            stages.append(_open(stack, opening, folder, count, keeps=is_long))
        _take_turns(stages, [GROWTH], options.size, results)


def _open(
    stack: contextlib.ExitStack,
    opening: contextlib.AbstractContextManager[Stage],
    folder: Path,
    count: int,
    *,
    keeps: bool = False,
) -> Stage:
    """The stage with so many paid orders, each of a buyer of its own."""
    marker = folder / "complete"
    if not keeps or not marker.exists():
        remove_stage(folder)
    with step(f"Servers in {folder}, {count:,} orders of history"):
        stage = stack.enter_context(opening)
        if not marker.exists():
            seed_catalogue(stage)
            orders = seed_open_orders(stage, min(BOUGHT, count))
            notify.pay_orders(stage, orders)
            with stage.at_rest():
                multiply(stage.connection, count // len(orders) - 1)
                stage.vacuum()
            marker.touch()
    return stage


def _take_turns(stages: Sequence[Stage], names: Sequence[str], size: Size, results: Results) -> None:
    """Measures row by row, on one stage a moment after the other, since the machine's speed changes within
    seconds. Each round begins with another stage. Before that each does everything once.
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


def _count_statements(stage: Stage, names: Sequence[str], results: Results) -> None:
    stage.counts_statements = True
    for sample in _samples(stage, names, COUNTED):
        results.statements.setdefault(stage.label, {})[sample.row] = sample.window.statements / sample.units


def _samples(stage: Stage, names: Sequence[str], size: Size) -> Iterator[Sample]:
    """But for the gateway's, which take minutes at any size."""
    for name in names:
        if name != GATEWAY:
            yield from SCENARIOS[name](stage, size)


def in_turns(running: Sequence[tuple[Stage, Iterator[Sample]]]) -> Iterator[tuple[Stage, Sample]]:
    """The first row on each stage, then the second on each. While one is measured, the others rest."""
    while running:
        further = []
        for stage, samples in running:
            with contextlib.ExitStack() as stack:
                for other, _ in running:
                    if other is not stage:
                        stack.enter_context(other.at_rest())
                sample = next(samples, None)
            if sample is not None:
                further.append((stage, samples))
                yield stage, sample
        running = further


def rotated(items: Sequence[Stage], number: int) -> list[Stage]:
    """The order of one round (1, 2, …):

    A B C, then B C A, then C A B. Nobody is always first, and nobody comes twice in a row.
    """
    start = (number - 1) % len(items)
    return [*items[start:], *items[:start]]
