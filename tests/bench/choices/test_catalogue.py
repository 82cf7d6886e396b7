"""What the catalogue calls the shop's own setting is what the shop does."""

from importlib import import_module

import pytest
from django.conf import settings

from bench.choices.catalogue import CHOICES
from bench.programs import Described, Program
from project.local import programs

DESCRIBED = Described(
    {},
    {
        made.name: Program(tuple(made.argv), {"DJANGO_SETTINGS_MODULE": "project.settings"}, stop_s=made.stop_s)
        for made in (programs.web_program(8000), programs.worker_program())
    },
)


@pytest.mark.parametrize("name", CHOICES)
def test_the_own_setting_starts_the_programs_as_the_shop_does(name: str) -> None:
    applied = CHOICES[name].own.apply(DESCRIBED)
    assert {name: program.argv for name, program in applied.programs.items()} == {
        name: program.argv for name, program in DESCRIBED.programs.items()
    }


@pytest.mark.parametrize("name", CHOICES)
def test_every_alternative_changes_something(name: str) -> None:
    for other in CHOICES[name].others:
        assert other.apply(DESCRIBED) != DESCRIBED or other.valkey != CHOICES[name].own.valkey or other.instead is not None


def test_the_own_batch_is_the_shops() -> None:
    for path, value in CHOICES["batch"].own.changes["constants"].items():
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name) == value


@pytest.mark.parametrize("name", ["statements", "connections"])
def test_the_own_database_setting_is_the_shops(name: str) -> None:
    database = settings.DATABASES["default"]
    changed = dict(CHOICES[name].own.changes["database"])
    options = changed.pop("OPTIONS", {})
    assert {entry: database[entry] for entry in changed} == changed
    assert {option: database["OPTIONS"][option] for option in options} == options


def test_the_same_name_is_not_used_twice() -> None:
    for choice in CHOICES.values():
        names = [alternative.name for alternative in choice.alternatives]
        assert len({*names}) == len(names)
