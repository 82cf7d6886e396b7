"""Measures choices."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.calibration import Calibration
from bench.choices.catalogue import CHOICES
from bench.choices.choice import Choice
from bench.choices.companies import open_companies
from bench.opening import load_history, open_stage, remove_stage
from bench.progress import tell
from bench.results import Results
from bench.size import Size, share_of
from bench.stage import Stage
from bench.turns import Act, in_turns
from project.local.progress import step


def measure_choices(
    names: Sequence[str], *, project: Path, folder: Path, calibration: Calibration, size: Size
) -> Iterator[tuple[str, Results]]:
    """Each choice by its name with the samples of its alternatives; one choice after the other on the same servers.

    Raises: LocalError when a server or a program doesn't do its job.
    """
    remove_stage(folder)
    with open_stage("choices", project=project, folder=folder, calibration=calibration) as stage:
        with step(f"tables with {size.history_orders:,} orders of history"):
            load_history(stage, size.history_orders)
        for name in names:
            yield name, _measure_choice(stage, name, CHOICES[name], size)


def _measure_choice(stage: Stage, name: str, choice: Choice, size: Size) -> Results:
    results = Results()
    print(f"\n{name}: {choice.says}", flush=True)
    with open_companies(stage, choice, name) as companies:
        cast = list(zip(companies, choice.alternatives, strict=True))
        for number in range(1, size.repeats + 1):
            for measure in choice.measures:
                acts = [
                    Act(company, own, share_of(size, alternative.share))
                    for company, alternative in cast
                    if (own := alternative.measure_for(measure)) is not None
                ]
                for company, sample in in_turns(acts, round_number=number):
                    results.add(company.label, sample)
                    tell(f"{company.label:20}", sample, turn=f"{number}/{size.repeats}")
    with step("audit of the books"):
        results.faults += stage.audit()
    return results
