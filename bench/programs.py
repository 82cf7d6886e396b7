"""The programs of a checkout, as the checkout itself describes them, and what it takes to run one of them otherwise."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from project.local.errors import LocalError
from project.local.ports import find_free_port
from project.local.state import ROOT

INSIDE = ROOT / "bench" / "inside"


@dataclass(frozen=True)
class Ports:
    """Where the programs listen."""

    web: int
    baseline: int
    flower: int

    @classmethod
    def find(cls) -> "Ports":
        return cls(find_free_port(), find_free_port(), find_free_port())


@dataclass(frozen=True)
class Program:
    """How one is started: `env` is the whole environment. `stop_s` is how long it may take to finish its work when asked to end."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    stop_s: float

    def with_words(self, words: Mapping[str, str]) -> "Program":
        """With other words in the place of some of its arguments."""
        return replace(self, argv=tuple(words.get(word, word) for word in self.argv))

    def with_option(self, name: str, value: str) -> "Program":
        """With an option's value replaced, or the option added at the end."""
        if name not in self.argv:
            return replace(self, argv=(*self.argv, name, value))
        at = self.argv.index(name) + 1
        return replace(self, argv=(*self.argv[:at], value, *self.argv[at + 1 :]))

    def with_niceness(self, niceness: int) -> "Program":
        """Behind other programs: 0 is beside them, 19 the last."""
        bare = self.argv[3:] if self.argv[:2] == ("nice", "-n") else self.argv
        return replace(self, argv=("nice", "-n", str(niceness), *bare))

    def with_env(self, env: Mapping[str, str]) -> "Program":
        """With some variables added or replaced."""
        return replace(self, env={**self.env, **env})


@dataclass(frozen=True)
class Described:
    """A checkout's programs by name, and the environment that they share."""

    env: Mapping[str, str]
    programs: Mapping[str, Program]


def describe(project: Path, folder: Path, *, database_url: str, valkey_url: str, ports: Ports) -> Described:
    """Asks the checkout. `folder` is where the programs' own files are put; `valkey_url` is the server's, without a database number.

    Raises: LocalError when it can't say.
    """
    given = {
        "folder": str(folder),
        "database_url": database_url,
        "valkey_url": valkey_url,
        "web_port": ports.web,
        "unused_port": find_free_port(),
        "flower_port": ports.flower,
        "secret_key": secrets.token_urlsafe(64),
    }
    paths = {"PYTHONPATH": f"{project}{os.pathsep}{INSIDE}"}
    said = json.loads(run([sys.executable, str(INSIDE / "describe.py"), json.dumps(given)], cwd=project, env={**os.environ, **paths}))
    env = {**said["env"], **paths, "LOG_LEVEL": "WARNING", "FLOWER_BASIC_AUTH": f"bench:{secrets.token_urlsafe(16)}"}
    programs = {
        name: Program(tuple(item["argv"]), {**env, **item["env"]}, stop_s=item["stop_s"]) for name, item in said["programs"].items()
    }
    return Described(env, {**programs, "baseline": _baseline(programs["web"], ports)})


def _baseline(web: Program, ports: Ports) -> Program:
    """The web program with another application on another port, and otherwise the same."""
    swapped = {"project.wsgi:application": "baseline.wsgi:application", str(ports.web): str(ports.baseline)}
    return web.with_words(swapped).with_env({"DJANGO_SETTINGS_MODULE": "baseline.settings"})


def run(command: list[str], *, cwd: Path, env: Mapping[str, str]) -> str:
    """What a command says.

    Raises: LocalError when it fails.
    """
    ended = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise LocalError(f"{' '.join(command[:3])} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout
