"""The programs of a checkout, as the checkout itself describes them."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from project.local.errors import LocalError
from project.local.ports import find_free_port
from project.local.state import ROOT

INSIDE = ROOT / "bench" / "inside"


@dataclass(frozen=True)
class Program:
    """How one is started:

    `env` is the whole environment. `stop_s` is how long it may take to finish its work when asked to end.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    stop_s: float


@dataclass(frozen=True)
class Described:
    """A checkout's programs by name, the environment that they share, and where those listen that others
    connect to.
    """

    env: Mapping[str, str]
    programs: Mapping[str, Program]
    ports: Mapping[str, int]


def describe(project: Path, folder: Path, *, database_url: str, valkey_url: str) -> Described:
    """Asks the checkout.

    `folder` is where the programs' own files are put; `valkey_url` is the server's, without a database
    number.

    Raises: LocalError when it can't say.
    """
    ports = {name: find_free_port() for name in ("web", "baseline", "simulator")}
    given = {
        "folder": str(folder),
        "database_url": database_url,
        "valkey_url": valkey_url,
        "web_port": ports["web"],
        "simulator_port": ports["simulator"],
        "secret_key": secrets.token_urlsafe(64),
    }
    paths = {"PYTHONPATH": f"{project}{os.pathsep}{INSIDE}"}
    said = json.loads(
        run(
            [sys.executable, str(INSIDE / "describe.py"), json.dumps(given)],
            cwd=project,
            env={**os.environ, **paths},
        )
    )
    env = {**said["env"], **paths, "LOG_LEVEL": "WARNING"}
    programs = {
        name: Program(tuple(item["argv"]), {**env, **item["env"]}, stop_s=item["stop_s"])
        for name, item in said["programs"].items()
    }
    # The web program with another application on another port, and otherwise the same.
    swapped = {
        "project.wsgi:application": "baseline.wsgi:application",
        str(ports["web"]): str(ports["baseline"]),
    }
    web = programs["web"]
    words = tuple(swapped.get(word, word) for word in web.argv)
    baseline = Program(words, {**web.env, "DJANGO_SETTINGS_MODULE": "baseline.settings"}, stop_s=web.stop_s)
    return Described(env, {**programs, "baseline": baseline}, ports)


def run(command: list[str], *, cwd: Path, env: Mapping[str, str]) -> str:
    """What a command says.

    Raises: LocalError when it fails.
    """
    ended = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise LocalError(f"{' '.join(command[:3])} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout
