"""Runs the scenarios and tells what came of them."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import gates, report
from bench.calibration import Calibration
from bench.choices.catalogue import CHOICES
from bench.choices.run import measure_choices
from bench.choices.telling import EXPLANATION, choice_text, write_choices
from bench.doubt import describe_doubts
from bench.opening import load_history, open_history, open_stage, remove_stage
from bench.origin import describe_machine, read_revision
from bench.past import postpone_deadlines
from bench.progress import tell
from bench.results import Results
from bench.scenarios import cart, floor, flower, growth, notify, orders, poll, synchronous
from bench.scenarios.statements import Counted
from bench.size import WARM_UP, Size
from bench.stage import Stage
from bench.turns import Act, Measure, in_turns
from project.local.progress import step
from project.local.state import State


@dataclass(frozen=True)
class Scenario:
    """What `--only` names: measurements that are repeated, and counts that are taken once."""

    says: str
    measures: Sequence[Measure]
    counts: Sequence[Callable[[Stage, Size], list[Counted]]] = ()


SCENARIOS = {
    "sync": Scenario("the order created inside the request", [synchronous.measure], [synchronous.count_per_order]),
    "orders": Scenario(
        "the intake alone, and the pipeline at light load, saturated, and in a burst",
        [orders.measure_intake, orders.measure_light, orders.measure_saturated, orders.measure_burst],
        [orders.count_per_order],
    ),
    "notify": Scenario("signed notifications until every order is paid", [notify.measure], [notify.count_per_notification]),
    "poll": Scenario("status polls with and without news", [poll.measure], [poll.count_per_poll]),
    "cart": Scenario("cart, checkout, and orders from a checkout", [cart.measure]),
    "floor": Scenario("what PostgreSQL alone needs for an order's rows", [floor.measure]),
    "flower": Scenario("the saturated pipeline with events and Flower", [flower.measure]),
}
GROWTH = "growth"
GROWTH_SAYS = "the same work with a short and a long history"


@dataclass(frozen=True)
class Options:
    """What the command line says. `choices`: these are measured, and no scenario."""

    size: Size
    only: Sequence[str]
    choices: Sequence[str]
    projects: Sequence[Path]
    folder: Path
    reset: bool
    gate: bool


def run(options: Options) -> int:
    """Measures, prints and writes what the options ask for; returns the exit status: 1 if `gate` is set and something isn't as it must be.

    Raises: LocalError when a server or a program doesn't do its job.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(State(options.folder).lock())
        if options.reset:
            for folder in (options.folder / "history").glob("*"):
                remove_stage(folder)
        calibration = Calibration(options.folder / "speed.json")
        stack.callback(calibration.stop)
        calibration.start(options.folder)
        is_sound = _run_choices(options, calibration) if options.choices else _run_all(options, calibration)
    return 1 if options.gate and not is_sound else 0


def _run_choices(options: Options, calibration: Calibration) -> bool:
    """Whether nothing was lost or rejected and the books are right. What is finished is written at once."""
    project = options.projects[-1]
    origin = {"project": read_revision(project), "size": dataclasses.asdict(options.size)}
    found: dict[str, Results] = {}
    for name, results in measure_choices(
        options.choices, project=project, folder=options.folder / "stages" / "choices", calibration=calibration, size=options.size
    ):
        found[name] = results
        for earlier in found.values():
            earlier.settle(calibration.fastest_s)
        print(f"\n{choice_text(CHOICES[name], results)}\n", flush=True)
        write_choices(options.folder, found, {"machine": describe_machine(calibration.fastest_s), **origin})
    print(f"{EXPLANATION}\n{report.unit_line(calibration.fastest_s)}\n\n{options.folder / 'choices.json'}, choices.txt")
    return not any(results.faults for results in found.values())


def _run_all(options: Options, calibration: Calibration) -> bool:
    """Whether all gates hold and nothing else is wrong."""
    results, histories = Results(), []
    labels = _labels(options.projects)
    names = [name for name in options.only if name in SCENARIOS]
    if names:
        _run_scenarios(names, labels, options, calibration, results)
    if GROWTH in options.only:
        histories = _run_growth(options, calibration, results)
    results.settle(calibration.fastest_s)
    verdicts = [verdict for label in labels for verdict in gates.judge(results, label)]
    if histories:
        verdicts += gates.judge_growth(results, *histories)
    _tell(options, results, labels, histories, verdicts)
    return not results.faults and all(verdict.holds for verdict in verdicts)


def _labels(projects: Sequence[Path]) -> dict[str, Path]:
    names = [path.name for path in projects]
    return {name if names.count(name) == 1 else str(path): path for name, path in zip(names, projects, strict=True)}


def _run_scenarios(names: Sequence[str], labels: dict[str, Path], options: Options, calibration: Calibration, results: Results) -> None:
    with contextlib.ExitStack() as stack:
        stages = []
        for label, project in labels.items():
            folder = options.folder / "stages" / label.strip("/").replace("/", "-")
            remove_stage(folder)
            with step(f"{label}: servers, tables, {options.size.history_orders:,} orders of history"):
                stage = stack.enter_context(open_stage(label, project=project, folder=folder, calibration=calibration))
                load_history(stage, options.size.history_orders)
                stage.start("web", "worker", "beat", *(["baseline"] if "sync" in names else []))
            stages.append(stage)
        _warm_up(stages)
        for number in range(1, options.size.repeats + 1):
            for name in names:
                for measure in SCENARIOS[name].measures:
                    _take_turns(stages, measure, options.size, results, number=number)
        for stage in stages:
            with stage.awake():
                for name in names:
                    for count in SCENARIOS[name].counts:
                        results.add_counts(stage.label, count(stage, options.size))
            if {"orders", "notify", "sync"} & {*names}:
                with step(f"{stage.label}: audit of the books"):
                    results.faults += stage.audit()


def _run_growth(options: Options, calibration: Calibration, results: Results) -> list[str]:
    """Two stages side by side, measured in turns; their data is kept for the next run."""
    with contextlib.ExitStack() as stack:
        stages = []
        project = options.projects[-1]
        for orders_before in options.size.growth_history:
            label = f"{orders_before:,} orders"
            folder = options.folder / "history" / f"{orders_before}-{_schema_of(project)}"
            with step(f"growth: servers with {label} of history"):
                stage = stack.enter_context(open_history(label, orders_before, project=project, folder=folder, calibration=calibration))
                with stage.connect() as connection:
                    postpone_deadlines(connection)
                stage.start("web", "worker", "beat")
            stages.append(stage)
        _warm_up(stages)
        for number in range(1, options.size.repeats + 1):
            _take_turns(stages, growth.measure, options.size, results, number=number)
        return [stage.label for stage in stages]


def _warm_up(stages: Sequence[Stage]) -> None:
    """Loads code, fills caches and opens connections, so that the first repetition is like the others. Several stages rest afterwards."""
    for stage in stages:
        measures = [orders.measure_saturated, notify.measure, poll.measure, cart.measure]
        if stage.children["baseline"].is_running():
            measures.append(synchronous.measure)
        for measure in measures:
            for _ in measure(stage, WARM_UP):
                pass
        if len(stages) > 1:
            stage.rest()


def _take_turns(stages: Sequence[Stage], measure: Measure, size: Size, results: Results, *, number: int) -> None:
    for stage, sample in in_turns([Act(stage, measure, size) for stage in stages], round_number=number):
        results.add(stage.label, sample)
        tell(stage.label, sample, turn=f"{number}/{size.repeats}")


def _schema_of(project: Path) -> str:
    """Changes whenever a migration does, and so does what is kept."""
    digest = hashlib.sha256()
    for path in sorted(project.glob("*/migrations/*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _tell(options: Options, results: Results, labels: dict[str, Path], histories: Sequence[str], verdicts: Sequence[gates.Verdict]) -> None:
    parts = []
    for stage in results.samples:
        parts += [
            f"== {stage}",
            report.cpu_table(results, stage),
            report.more_figures(results, stage),
            report.statements_table(results, stage),
        ]
    if len(labels) == 2 and all(label in results.samples for label in labels):
        parts.append(report.comparison_table(results, *labels))
    parts += [
        f"{report.explanation()}\n{report.unit_line(results.unit_s)}",
        report.gates_table(verdicts) if verdicts else "",
        describe_doubts(results.all()),
    ]
    parts += ["Not as it must be:\n" + "\n".join(f"  {fault}" for fault in results.faults)] if results.faults else []
    text = "\n\n".join(part for part in parts if part)
    print(f"\n{text}\n")
    (options.folder / "report.txt").write_text(text + "\n")
    found = {
        "machine": describe_machine(results.unit_s),
        "projects": {label: read_revision(path) for label, path in labels.items()},
        "size": dataclasses.asdict(options.size),
    }
    found |= results.as_json() | {"gates": [dataclasses.asdict(verdict) for verdict in verdicts]}
    (options.folder / "results.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    from bench.chart import draw  # noqa: PLC0415 - matplotlib is here for `bin/bench` only, and this module also for its tests

    chart = draw(results, next(iter(labels)), histories, options.folder / "chart.png")
    print(f"{options.folder / 'results.json'}, report.txt" + (", chart.png" if chart else ""))
