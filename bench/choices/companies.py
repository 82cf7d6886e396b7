"""The programs of all alternatives of a choice at once, on the same servers: started side by side, warm, and at rest until their turns."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.choices.choice import Alternative, Choice, beside
from bench.opening import make_children
from bench.programs import Ports
from bench.scenarios.orders import measure_light
from bench.size import CHOICE_WARM_UP
from bench.stage import Stage
from project.local.progress import step


@contextlib.contextmanager
def open_companies(stage: Stage, choice: Choice, name: str) -> Iterator[list[Stage]]:
    """A stage for each alternative, in their order. Leaves no process behind, and Valkey as it was."""
    with stage.valkey_client(0) as client:
        client.flushall()
    companies = [_company(stage, alternative, choice, name, number) for number, alternative in enumerate(choice.alternatives)]
    try:
        with step(f"{len(companies)} alternatives are started"):
            _start(companies, choice)
        with step(f"{len(companies)} alternatives are warmed up"):
            for company, alternative in zip(companies, choice.alternatives, strict=True):
                _warm_up(company, alternative, choice)
        yield companies
    finally:
        for company in companies:
            company.kill()
        replace(stage, valkey_settings=choice.own.valkey).set_valkey()


def _start(companies: Sequence[Stage], choice: Choice) -> None:
    for company, alternative in zip(companies, choice.alternatives, strict=True):
        for program in alternative.programs:
            company.children[program].start()
    for company, alternative in zip(companies, choice.alternatives, strict=True):
        for program in alternative.programs:
            company.wait_until_up(program)
        company.rest()


def _warm_up(company: Stage, alternative: Alternative, choice: Choice) -> None:
    """Whatever will be measured, once, briefly. Saturation warms up what light load needs."""
    measures = [measure for measure in choice.measures if measure is not measure_light or len(choice.measures) == 1]
    with company.awake():
        for measure in measures:
            if own := alternative.measure_for(measure):
                for _ in own(company, CHOICE_WARM_UP):
                    pass


def _company(stage: Stage, alternative: Alternative, choice: Choice, name: str, number: int) -> Stage:
    """Idle programs cost memory only; each company has Valkey databases of its own, so that none takes another's messages."""
    folder = stage.folder / "companies" / f"{name}-{number}"
    folder.mkdir(parents=True, exist_ok=True)
    ports, database = Ports.find(), 2 * (number + 1)
    described = beside(
        stage.described,
        old=stage.ports,
        new=ports,
        valkey_url=stage.valkey.url().rsplit("/", 1)[0],
        database=database,
    )
    if alternative is not choice.own:
        described = alternative.apply(described)
    children = make_children(described.programs, folder, project=stage.project)
    return replace(
        stage,
        label=alternative.name,
        ports=ports,
        described=described,
        children=children,
        broker_database=database,
        valkey_settings=alternative.valkey,
    )
