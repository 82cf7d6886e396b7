"""A shop to be measured: PostgreSQL, Valkey, web, worker and beat of one checkout of the project, on ports and data of their own.

Settings as in production: every commit is flushed, Valkey's log is written each second, DEBUG is off. Programs and their arguments are
those of the checkout's own `project/local/programs.py`; the Python packages are those that run this.
"""

import contextlib
import json
import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from bench.calibration import Calibration
from bench.client import Client, Plan, Result
from bench.meter import Meter, Window
from project.local.child import Child, stop_leftover
from project.local.errors import LocalError
from project.local.ports import find_free_port, is_listening
from project.local.postgres import SUPERUSER, PostgresServer
from project.local.state import ROOT
from project.local.valkey import ValkeyServer
from project.local.waiting import wait_until

INSIDE = ROOT / "bench" / "inside"
READY_TIMEOUT_S = 60
DRAIN_TIMEOUT_S = 120
# Kinds of processes whose CPU time is counted.
PROGRAMS = ("web", "worker", "beat", "flower", "baseline")
# The time of each commit is kept, to tell when a row could be seen. A checkpoint in the middle of a short run would weigh more than it does
# in an hour of a shop's life, and so would the whole pages that are logged after it.
POSTGRES_SETTINGS = {"track_commit_timestamp": "on", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
_STATEMENT = re.compile(r"duration: [\d.]+ ms  (?:statement|execute [^:]*): (.*)")


@dataclass
class Stage:
    """One checkout's shop. Use `open_stage`."""

    label: str
    project: Path
    folder: Path
    calibration: Calibration
    postgres: PostgresServer
    valkey: ValkeyServer
    web_port: int
    baseline_port: int
    flower_port: int
    env: Mapping[str, str]
    children: Mapping[str, Child]
    stop_s: Mapping[str, float]
    _meter: Meter | None = field(default=None, init=False)

    def start(self, *names: str) -> None:
        """Starts programs and returns when they do their job.

        Raises: LocalError when one doesn't come up, with the end of its log.
        """
        for name in names:
            child = self.children[name]
            child.start()
            if not wait_until(lambda: not child.is_running() or self._is_up(name), timeout_s=READY_TIMEOUT_S) or not child.is_running():  # noqa: B023 - used at once
                raise LocalError(f"{name} of {self.label} did not start. The end of {child.log_path}:\n{child.log_tail()}")

    def stop(self, *names: str) -> None:
        """Ends programs that run; all are asked first, and each has its own time to finish."""
        running = [name for name in names if self.children[name].is_running()]
        for name in running:
            self.children[name].send(self.children[name].stop_signal)
        for name in running:
            self.children[name].wait(self.stop_s[name])
            self.children[name].kill()

    @contextlib.contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Holds programs and their children still for the block."""
        roots = [psutil.Process(self.children[name].pid) for name in names]
        processes = [process for root in roots for process in (root, *root.children(recursive=True))]
        try:
            for process in processes:
                process.send_signal(signal.SIGSTOP)
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def measured(self, also: Mapping[str, Sequence[int]] | None = None) -> Iterator["Measured"]:
        """A window over all that runs; read its `window` after the block. `also`: further processes by kind."""
        running = {name: [child.pid] for name, child in self.children.items() if child.is_running()}
        roots: dict[str, list[int]] = {"postgres": [self.postgres.child.pid], "valkey": [self.valkey.child.pid]}
        for name, pids in running.items():
            roots.setdefault(kind_of(name), []).extend(pids)
        for kind, more in (also or {}).items():
            roots.setdefault(kind, []).extend(more)
        meter = Meter(self.calibration, roots)
        measured = Measured()
        meter.start()
        yield measured
        measured.window = meter.stop(client_s=measured.client_s)

    def connect(self) -> psycopg.Connection[Any]:
        """A superuser's connection of ours; what it does is never in the log of statements."""
        connection = self.postgres.connect(role=SUPERUSER)
        connection.execute("SET log_min_duration_statement = -1")
        return connection

    def valkey_client(self, database: int) -> "redis.Redis":
        return redis.Redis.from_url(self.valkey.url(database), decode_responses=True)

    def client(self, plan: Plan) -> Client:
        """A connected client for this stage."""
        return Client(plan, self.folder / "client")

    def send(self, plan: Plan) -> Result:
        """Sends a plan without measuring anything."""
        with self.client(plan) as client:
            return client.run()

    def wait_drained(self, connection: psycopg.Connection[Any], table: str) -> None:
        """Returns when no row of the table has anything to be done with now.

        Raises: LocalError when that takes too long.
        """

        def is_drained() -> bool:
            row = connection.execute(f"SELECT EXISTS (SELECT 1 FROM {table} WHERE available_at <= now() + interval '5 minutes')").fetchone()
            return row is not None and not row[0]

        if not wait_until(is_drained, timeout_s=DRAIN_TIMEOUT_S, poll_s=0.1):
            raise LocalError(f"{table} of {self.label} was not drained within {DRAIN_TIMEOUT_S} s")

    def tidy(self) -> None:
        """What autovacuum would have done some time after seeding. Without it PostgreSQL plans for tables that were empty."""
        with self.connect() as connection:
            connection.execute("VACUUM (ANALYZE)")

    @contextlib.contextmanager
    def statements_logged(self) -> Iterator[list[str]]:
        """Collects every SQL statement of the programs; the list is filled when the block ends. Parameters are not in it."""
        found: list[str] = []
        self._log_statements(0)
        log = self.postgres.child.log_path
        start = log.stat().st_size
        try:
            yield found
        finally:
            self._log_statements(-1)
        with log.open(encoding="utf-8", errors="replace") as file:
            file.seek(start)
            found += [match[1] for match in map(_STATEMENT.search, file) if match]

    def published(self) -> int:
        """How many messages were ever put into the broker's queues."""
        with self.valkey_client(0) as client:
            stats: Mapping[str, Any] = client.info("commandstats")
        return int(stats.get("cmdstat_lpush", {}).get("calls", 0))

    def _log_statements(self, minimum_ms: int) -> None:
        with self.connect() as connection:
            connection.execute(f"ALTER SYSTEM SET log_min_duration_statement = {minimum_ms}")
            connection.execute("SELECT pg_reload_conf(), pg_sleep(0.3)")

    def manage(self, *args: str) -> str:
        """Runs manage.py and returns what it said.

        Raises: LocalError when it fails.
        """
        return _run([sys.executable, "manage.py", *args], cwd=self.project, env=self.env)

    def _is_up(self, name: str) -> bool:
        ports = {"web": self.web_port, "baseline": self.baseline_port, "flower": self.flower_port}
        if name in ports:
            return is_listening(ports[name])
        if name == "beat":
            return True
        with self.valkey_client(0) as client:  # a worker that consumes is blocked in a read of its queues
            return any(entry["cmd"] == "brpop" for entry in client.client_list())


@dataclass
class Measured:
    """What a measured block leaves behind."""

    client_s: float = 0.0
    window: Window = field(init=False)


def kind_of(program: str) -> str:
    """The kind that a program's CPU time is counted as."""
    return {"baseline": "web", "worker-events": "worker"}.get(program, program)


@contextlib.contextmanager
def open_stage(label: str, *, project: Path, folder: Path, calibration: Calibration) -> Iterator[Stage]:
    """Servers with the project's tables, and its programs ready to be started. Leaves no process behind; data that is in `folder` is used again."""
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_hex(16)
    with contextlib.ExitStack() as stack:
        postgres = PostgresServer(folder / "postgres", _kept_password(folder, password))
        stack.callback(postgres.stop)
        postgres.start()
        _set_up(postgres)
        valkey = ValkeyServer(folder / "valkey", password)
        stack.callback(valkey.stop)
        valkey.start()
        with redis.Redis.from_url(valkey.url()) as client:
            client.flushall()
        stage = _describe(label, project=project, folder=folder, calibration=calibration, postgres=postgres, valkey=valkey)
        stack.callback(lambda: stage.stop(*stage.children))
        stage.manage("migrate", "--verbosity", "0")
        yield stage


def _kept_password(folder: Path, fresh: str) -> str:
    path = folder / "password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(fresh)
    return path.read_text()


def _set_up(postgres: PostgresServer) -> None:
    """Changes the server's settings for good; some count only after a restart."""
    with postgres.connect(role=SUPERUSER) as connection:
        row = connection.execute(
            "SELECT bool_and(current_setting(key) = value) FROM unnest(%s::text[], %s::text[]) AS wanted(key, value)",
            [list(POSTGRES_SETTINGS), list(POSTGRES_SETTINGS.values())],
        ).fetchone()
        if row is not None and row[0]:
            return
        for name, value in POSTGRES_SETTINGS.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    postgres.stop()
    postgres.start()


def _describe(
    label: str, *, project: Path, folder: Path, calibration: Calibration, postgres: PostgresServer, valkey: ValkeyServer
) -> Stage:
    web_port, baseline_port, flower_port = find_free_port(), find_free_port(), find_free_port()
    given = {
        "folder": str(folder),
        "database_url": postgres.url(),
        "valkey_url": valkey.url().rsplit("/", 1)[0],
        "web_port": web_port,
        "unused_port": find_free_port(),
        "flower_port": flower_port,
        "secret_key": secrets.token_urlsafe(64),
    }
    paths = {"PYTHONPATH": f"{project}{os.pathsep}{INSIDE}"}
    said = json.loads(_run([sys.executable, str(INSIDE / "describe.py"), json.dumps(given)], cwd=project, env={**os.environ, **paths}))
    env = {**said["env"], **paths, "LOG_LEVEL": "WARNING", "FLOWER_UNAUTHENTICATED_API": "true"}
    programs: dict[str, dict[str, Any]] = said["programs"]
    programs["baseline"] = _baseline(programs["web"], web_port=web_port, baseline_port=baseline_port)
    log_folder = folder / "log"
    log_folder.mkdir(exist_ok=True)
    children = {}
    for name, item in programs.items():
        record = folder / f"{name}.json"
        stop_leftover(record)
        children[name] = Child(
            name=name, argv=item["argv"], env={**env, **item["env"]}, cwd=project, log_path=log_folder / f"{name}.log", record_path=record
        )
    return Stage(
        label, project, folder, calibration, postgres, valkey, web_port, baseline_port, flower_port, env, children,
        stop_s={name: item["stop_s"] for name, item in programs.items()},
    )  # fmt: skip


def _baseline(web: Mapping[str, Any], *, web_port: int, baseline_port: int) -> dict[str, Any]:
    """The web program with another application on another port, and otherwise the same."""
    swapped = {"project.wsgi:application": "baseline.wsgi:application", str(web_port): str(baseline_port)}
    return {
        **web,
        "argv": [swapped.get(arg, arg) for arg in web["argv"]],
        "env": {**web["env"], "DJANGO_SETTINGS_MODULE": "baseline.settings"},
    }


def _run(command: list[str], *, cwd: Path, env: Mapping[str, str]) -> str:
    ended = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise LocalError(f"{' '.join(command[:3])} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout
