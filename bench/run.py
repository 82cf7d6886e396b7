"""Runs the scenarios and reports what was measured."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import gates, report
from bench.calibration import Calibration
from bench.opening import load_history, open_history, open_stage, remove_stage
from bench.results import Results, Sample, describe_quality
from bench.scenarios import cart, gateway, growth, notify, orders, poll, synchronous
from bench.size import WARM_UP, Size
from bench.stage import Stage
from project.local.progress import step
from project.local.state import State

Measure = Callable[[Stage, Size], Iterator[Sample]]
GROWTH = "growth"
# What `--only` names: what it measures again and again, and how it counts SQL statements per unit, once.
SCENARIOS: dict[str, tuple[Sequence[Measure], Callable[[Stage, Size], dict[str, float]] | None]] = {
    "sync": ([synchronous.measure], synchronous.count_statements),
    "orders": (
        [orders.measure_intake, orders.measure_light, orders.measure_saturated, orders.measure_burst],
        orders.count_statements,
    ),
    "notify": ([notify.measure], notify.count_statements),
    "poll": ([poll.measure], poll.count_statements),
    "cart": ([cart.measure], None),
    "gateway": ([gateway.measure], None),
}
DEFAULT = [*(name for name in SCENARIOS if name != "gateway"), GROWTH]


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
    results = Results()
    with State(options.folder).lock(), Calibration.running(options.folder) as calibration:
        labels = _labels(options.projects)
        if names := [name for name in options.only if name in SCENARIOS]:
            _run_scenarios(names, labels, options, calibration, results)
        histories = _run_growth(options, calibration, results) if GROWTH in options.only else []
        results.settle(calibration.fastest_s)
    verdicts = [verdict for label in labels for verdict in gates.judge(results, label)]
    verdicts += gates.judge_growth(results, *histories) if histories else []
    _report(options, results, labels, histories, verdicts)
    is_sound = not results.faults and all(verdict.holds for verdict in verdicts)
    return 1 if options.gate and not is_sound else 0


def _labels(projects: Sequence[Path]) -> dict[str, Path]:
    names = [path.name for path in projects]
    return {
        name if names.count(name) == 1 else str(path): path
        for name, path in zip(names, projects, strict=True)
    }


def _run_scenarios(
    names: Sequence[str],
    labels: dict[str, Path],
    options: Options,
    calibration: Calibration,
    results: Results,
) -> None:
    programs = ("web", "worker", "beat", *(["baseline"] if "sync" in names else []))
    measures = [measure for name in names for measure in SCENARIOS[name][0]]
    with contextlib.ExitStack() as stack:
        stages = []
        for label, project in labels.items():
            folder = options.folder / "stages" / label.strip("/").replace("/", "-")
            remove_stage(folder)
            with step(f"{label}: servers, tables, {options.size.histories[0]:,} orders of history"):
                opening = open_stage(
                    label, project=project, folder=folder, calibration=calibration, programs=programs
                )
                stages.append(stack.enter_context(opening))
                load_history(stages[-1], options.size.histories[0])
        _take_turns(stages, measures, options.size, results)
        for stage in stages:
            for count in filter(None, (SCENARIOS[name][1] for name in names)):
                results.statements.setdefault(stage.label, {}).update(count(stage, options.size))
            with step(f"{stage.label}: audit of the books"):
                results.faults += stage.audit()


def _run_growth(options: Options, calibration: Calibration, results: Results) -> list[str]:
    """Two stages side by side, measured in turns; their data is kept for the next run."""
    with contextlib.ExitStack() as stack:
        stages = []
        for count in options.size.histories:
            label = f"{count:,} orders"
            with step(f"growth: servers with {label} of history"):
                folder = options.folder / "history"
                opening = open_history(
                    label, count, project=options.projects[-1], folder=folder, calibration=calibration
                )
                stages.append(stack.enter_context(opening))
        _take_turns(stages, [growth.measure], options.size, results)
        return [stage.label for stage in stages]


def _take_turns(stages: Sequence[Stage], measures: Sequence[Measure], size: Size, results: Results) -> None:
    """Measures row by row, on one stage a moment after the other, since the machine's speed changes within
    seconds. Each round begins with another stage. Before that each does everything once: loads code, fills
    caches, opens connections.
    """
    for stage in stages:
        for measure in (measure for measure in measures if measure is not gateway.measure):
            for _ in measure(stage, WARM_UP):
                pass
    for number in range(1, size.repeats + 1):
        order = rotated(stages, number)
        for measure in measures:
            for stage, sample in in_turns([(stage, measure(stage, size)) for stage in order]):
                results.add(stage.label, sample)
                report.print_sample(stage.label, sample, turn=f"{number}/{size.repeats}")


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


def _report(
    options: Options,
    results: Results,
    labels: dict[str, Path],
    histories: Sequence[str],
    verdicts: Sequence[gates.Verdict],
) -> None:
    parts = [part for stage in results.samples for part in report.stage_report(results, stage)]
    if len(labels) == 2 and all(label in results.samples for label in labels):
        parts.append(report.comparison_table(results, *labels))
    faults = "".join(f"\n  {fault}" for fault in results.faults)
    parts += [
        report.legend(results.unit_s),
        report.gates_table(verdicts),
        describe_quality(results.all()),
        f"Not as it must be:{faults}" if faults else "",
    ]
    text = "\n\n".join(part for part in parts if part)
    print(f"\n{text}\n")
    (options.folder / "report.txt").write_text(text + "\n")
    found = {
        "machine": report.describe_machine(results.unit_s),
        "projects": {label: report.read_revision(path) for label, path in labels.items()},
        "size": dataclasses.asdict(options.size),
        "samples": results.as_json(),
        "statements": results.statements,
        "faults": results.faults,
        "gates": [dataclasses.asdict(verdict) for verdict in verdicts],
    }
    (options.folder / "results.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    from bench.chart import draw  # noqa: PLC0415 - matplotlib is here for `bin/bench` only, and this module also for its tests

    is_drawn = draw(results, next(iter(labels)), histories, options.folder / "chart.png")
    print(f"{options.folder}: results.json, report.txt{', chart.png' if is_drawn else ''}")
