"""What a choice is: the shop's own setting, what else it could be, and on what the two are compared."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.programs import Described, Ports
from bench.turns import Measure


@dataclass(frozen=True)
class Alternative:
    """One setting, as a change of what the shop does. `says` is what else is to be known of it, above all what speaks against it."""

    name: str
    says: str = ""
    # Options of the programs' command lines.
    web: Mapping[str, str] = field(default_factory=dict)
    worker: Mapping[str, str] = field(default_factory=dict)
    worker_niceness: int | None = None
    # See bench/inside/alternative/__init__.py.
    changes: Mapping[str, Any] = field(default_factory=dict)
    # Valkey's settings while it is this alternative's turn.
    valkey: Mapping[str, str] = field(default_factory=dict)
    programs: Sequence[str] = ("web", "worker", "beat")
    # Other measures in the place of some of the choice's; None: those of the choice.
    instead: Mapping[Measure, Measure] | None = None

    # How much of the usual number of orders, notifications and signatures is enough: a dear alternative takes its time.
    share: float = 1.0

    def measure_for(self, measure: Measure) -> Measure | None:
        """What is measured here where the choice says `measure`."""
        return measure if self.instead is None else self.instead.get(measure)

    def apply(self, described: Described) -> Described:
        """The programs with this alternative's command lines and environment."""
        programs = dict(described.programs)
        for name, options in (("web", self.web), ("worker", self.worker)):
            for option, value in options.items():
                programs[name] = programs[name].with_option(option, value)
        if self.worker_niceness is not None:
            programs["worker"] = programs["worker"].with_niceness(self.worker_niceness)
        changed = Described(described.env, programs)
        if not self.changes:
            return changed
        return with_env(changed, {"DJANGO_SETTINGS_MODULE": "alternative.settings", "BENCH_CHANGES": json.dumps(self.changes)})


@dataclass(frozen=True)
class Choice:
    """`own` is measured as the shop is, whatever it says; a test holds what it says to what the shop does."""

    says: str
    own: Alternative
    others: Sequence[Alternative]
    measures: Sequence[Measure]

    @property
    def alternatives(self) -> list[Alternative]:
        return [self.own, *self.others]


def beside(described: Described, *, old: Ports, new: Ports, valkey_url: str, database: int) -> Described:
    """The same programs beside others of their kind: on ports and Valkey databases (`database` and the next) of their own."""
    words = {str(old.web): str(new.web), str(old.baseline): str(new.baseline), str(old.flower): str(new.flower)}
    programs = {name: program.with_words(words) for name, program in described.programs.items()}
    env = {"CELERY_BROKER_URL": f"{valkey_url}/{database}", "REDIS_URL": f"{valkey_url}/{database + 1}"}
    return with_env(Described(described.env, programs), env)


def with_env(described: Described, env: Mapping[str, str]) -> Described:
    """With some variables added or replaced, for each program."""
    programs = {name: program.with_env({**env, **_kept(name, program.env)}) for name, program in described.programs.items()}
    return Described({**described.env, **env}, programs)


def _kept(name: str, env: Mapping[str, str]) -> Mapping[str, str]:
    """The baseline has settings of its own, which its address depends on."""
    return {"DJANGO_SETTINGS_MODULE": env["DJANGO_SETTINGS_MODULE"]} if name == "baseline" else {}
