"""An alternative changes what it says, and nothing else."""

import json

from bench.choices.choice import Alternative, beside
from bench.programs import Described, Ports, Program

WEB = Program(("granian", "--port", "8000", "--workers", "2"), {"DJANGO_SETTINGS_MODULE": "project.settings"}, stop_s=3)
BASELINE = Program(("granian", "--port", "8001"), {"DJANGO_SETTINGS_MODULE": "baseline.settings"}, stop_s=3)
WORKER = Program(("celery", "worker"), {}, stop_s=3)
BEAT = Program(("celery", "beat"), {}, stop_s=3)
DESCRIBED = Described({}, {"web": WEB, "baseline": BASELINE, "worker": WORKER, "beat": BEAT})


def test_options_change_their_program_only() -> None:
    applied = Alternative("3 processes", web={"--workers": "3"}).apply(DESCRIBED)
    assert applied.programs["web"].argv[-1] == "3"
    assert {**applied.programs, "web": WEB} == DESCRIBED.programs


def test_changes_reach_every_program_that_has_the_shops_settings() -> None:
    applied = Alternative("1", changes={"constants": {"shop.a.B": 1}}).apply(DESCRIBED)
    assert {name: program.env["DJANGO_SETTINGS_MODULE"] for name, program in applied.programs.items()} == {
        "web": "alternative.settings",
        "worker": "alternative.settings",
        "beat": "alternative.settings",
        "baseline": "baseline.settings",
    }
    assert json.loads(applied.env["BENCH_CHANGES"]) == {"constants": {"shop.a.B": 1}}


def test_programs_beside_others_meet_none_of_them() -> None:
    moved = beside(DESCRIBED, old=Ports(8000, 8001, 8002), new=Ports(9000, 9001, 9002), valkey_url="redis://v", database=4)
    assert moved.programs["web"].argv[2] == "9000"
    assert moved.programs["baseline"].argv[2] == "9001"
    assert (moved.env["CELERY_BROKER_URL"], moved.programs["web"].env["REDIS_URL"]) == ("redis://v/4", "redis://v/5")


def test_an_alternative_may_measure_something_else_or_nothing() -> None:
    def usual(stage: object, size: object) -> object: ...

    def other(stage: object, size: object) -> object: ...

    assert Alternative("a").measure_for(usual) is usual
    assert Alternative("a", instead={usual: other}).measure_for(usual) is other
    assert Alternative("a", instead={}).measure_for(usual) is None
