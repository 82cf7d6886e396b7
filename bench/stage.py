"""A shop to be measured: PostgreSQL, Valkey and the programs of one checkout, on their own ports and data.

Settings are as in production: every commit is flushed, Valkey's log is written each second, DEBUG is off. The
programs are those of the checkout's own `project/local/programs.py`, the Python packages those of this
process.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import redis

from bench.client import Client, Plan, Result
from bench.meter import Calibration, Meter
from bench.results import Sample, http_figures
from project.local.child import Child, held
from project.local.errors import LocalError
from project.local.ports import find_free_port, is_listening
from project.local.postgres import SUPERUSER, PostgresServer
from project.local.programs import Program
from project.local.runner import Runner
from project.local.state import ROOT, State
from project.local.valkey import ValkeyServer
from project.local.waiting import wait_until

INSIDE, BASELINE = ROOT / "bench" / "inside", "django.core.wsgi:get_wsgi_application"
QUEUES, WAIT_S = ("checkout", "orders", "payments", "upkeep"), 120
# Commit timestamps tell when a row became visible. A checkpoint in a short run, and the full-page writes
# after it, would have a larger share than in an hour of normal operation.
POSTGRES_SETTINGS = {"track_commit_timestamp": "on", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
_STATEMENT = re.compile(rb"duration: [\d.]+ ms  (?:statement|execute [^:]*): ")
Described = tuple[dict[str, Program], dict[str, str], dict[str, int]]


@dataclass
class Stage:
    """One checkout's shop, created by `open_stage`: `programs` by name, their shared `env`, and their
    `ports`. `connection` belongs to a superuser, whose statements are never counted.
    """

    label: str
    project: Path
    state: State
    calibration: Calibration
    broker: "redis.Redis"
    connection: psycopg.Connection[Any]
    programs: Mapping[str, Program]
    env: Mapping[str, str]
    ports: Mapping[str, int]
    children: dict[str, Child]
    counts_statements: bool = False

    @contextlib.contextmanager
    def running(self, *names: str) -> Iterator[None]:
        """Runs those of the programs that the checkout has during the block. Raises: LocalError."""
        chosen = [self.programs[name] for name in names if name in self.programs]
        logs, records = self.state.log_folder, self.state.folder
        with Runner(chosen, env=self.env, cwd=self.project, log_folder=logs, record_folder=records) as runner:
            runner.start()
            self.children |= runner.children
            self._wait(lambda: self._is_up(runner), f"{names} ready")
            yield

    def _is_up(self, runner: Runner) -> bool:
        runner.require_alive()
        ports = [port for name, port in self.ports.items() if name in runner.children]
        # A consuming worker is blocked in a read from its queues.
        consuming = [one for one in self.broker.client_list() if (one["cmd"], one["db"]) == ("brpop", "0")]
        return all(map(is_listening, ports)) and len(consuming) >= len(self._pids("worker", "gateway"))

    def _pids(self, *names: str) -> list[int]:
        children = [self.children[name] for name in names if name in self.children]
        return [child.pid for child in children if child.is_running()]

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """Pauses all programs between messages: beat first, then the others once the queues are empty."""
        with held(self._pids("beat")):
            self.wait_for_queues()
            with held(self._pids("web", "baseline", "worker", "gateway", "simulator")):
                yield

    def play(
        self, row: str, plan: Plan, *, status: int, is_web_alone: bool = False, drains: str = ""
    ) -> tuple[Sample, Result]:
        """Sends requests, each expected to be answered with `status`, and measures until the queues, or the
        table `drains`, are empty. With `is_web_alone` worker and beat are paused meanwhile.
        """
        resting = self._pids("worker", "beat") if is_web_alone else []
        with Client(plan) as client, held(resting), self.measured() as meter:
            result = client.run()
            if drains:
                self.wait_drained(drains)
            elif not is_web_alone:
                self.wait_for_queues()
        figures, faults = http_figures(result), result.not_expected(status)
        return Sample(row, len(result.statuses), meter.window, figures, faults=faults), result

    @contextlib.contextmanager
    def measured(self, *, worker_pids: Sequence[int] = ()) -> Iterator[Meter]:
        """Measures all programs during the block; `worker_pids` count as workers, too. The meter's `window`
        is set after the block. BEGIN and COMMIT count as SQL statements.
        """
        roots = {name: pids for name in self.children if (pids := self._pids(name))}
        roots["web"] += roots.pop("baseline", [])
        roots["worker"] += worker_pids
        log = self.children["postgres"].log_path
        self._log_statements(0)
        start = log.stat().st_size
        with Meter(self.calibration, roots) as meter:
            yield meter
        self._log_statements(-1)
        count = len(_STATEMENT.findall(log.read_bytes()[start:])) if self.counts_statements else 0
        meter.window = replace(meter.window, statements=count)

    def _log_statements(self, minimum_ms: int) -> None:
        if self.counts_statements:
            self.connection.execute(f"ALTER SYSTEM SET log_min_duration_statement = {minimum_ms}")
            self.connection.execute("SELECT pg_reload_conf(), pg_sleep(0.3)")

    def send(self, requests: Sequence[bytes], *, connections: int = 8) -> Result:
        """Sends requests without measuring; keeps the answers."""
        with Client(Plan(self.ports["web"], requests, connections, keep=True)) as client:
            return client.run()

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode(), parameters or None).fetchall()

    def wait_drained(self, table: str) -> None:
        """Waits until no row of the table is due. Raises: LocalError after `WAIT_S`."""
        query = f"SELECT EXISTS (SELECT 1 FROM {table} WHERE available_at <= now() + interval '5 minutes')"
        self._wait(lambda: not self.rows(query)[0][0], f"{table} drained")

    def wait_for_queues(self) -> None:
        """Waits until no message is queued or being processed. Raises: LocalError after `WAIT_S`."""
        broker = self.broker
        self._wait(lambda: not any(map(broker.llen, QUEUES)) and not broker.hlen("unacked"), "queues empty")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        if not wait_until(condition, timeout_s=WAIT_S, poll_s=0.1):
            raise LocalError(f"{self.label}: not {what} within {WAIT_S} s")

    def count_published(self) -> int:
        return int(self.broker.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0))

    def put_off(self, table: str, where: str, *parameters: object) -> None:
        """Keeps these rows from becoming due during a measurement."""
        update = f"UPDATE {table} SET available_at = now() + interval '10 years' WHERE {where}"
        self.connection.execute(update.encode(), parameters or None)

    def vacuum(self) -> None:
        """Does what autovacuum would do later; otherwise PostgreSQL plans for empty tables."""
        self.connection.execute("SELECT pg_stat_force_next_flush()")
        self.connection.execute("VACUUM")
        changed = """
            SELECT relid::regclass::text FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
            WHERE n_mod_since_analyze > 50 + 0.1 * greatest(reltuples, 0)
        """
        for (table,) in self.rows(changed):
            self.connection.execute(f"ANALYZE {table}")

    def manage(self, *args: str) -> None:
        """Runs manage.py. Raises: LocalError with the output when it fails."""
        _run("manage.py", *args, cwd=self.project, env=self.env)


@contextlib.contextmanager
def open_stage(
    label: str, project: Path, folder: Path, calibration: Calibration, programs: Sequence[str]
) -> Iterator[Stage]:
    """Starts servers and programs and migrates the database. Reuses the data in `folder`."""
    state = State(folder)
    secrets = state.load_secrets()
    with contextlib.ExitStack() as stack:
        postgres = PostgresServer(folder / "postgres", secrets.database_password, settings=POSTGRES_SETTINGS)
        valkey = ValkeyServer(folder / "valkey", secrets.broker_password)
        for server in (postgres, valkey):
            stack.callback(server.stop)
            server.start()
        broker = stack.enter_context(redis.Redis.from_url(valkey.url(), decode_responses=True))
        broker.flushall()
        connection = stack.enter_context(postgres.connect(role=SUPERUSER))
        connection.execute("SET log_min_duration_statement = -1")
        described = describe(project, state, postgres.url(), valkey.url())
        children = {"postgres": postgres.child, "valkey": valkey.child}
        stage = Stage(label, project, state, calibration, broker, connection, *described, children)
        stage.manage("migrate", "--verbosity", "0")
        stack.enter_context(stage.running(*programs))
        yield stage


def describe(project: Path, state: State, database_url: str, valkey_url: str) -> Described:
    """A checkout's programs by name, their environment and ports, as its own code describes them."""
    ports = {name: find_free_port() for name in ("web", "baseline", "simulator")}
    given = {
        "folder": str(state.folder), "secret_key": state.load_secrets().django_secret_key,
        "database_url": database_url, "valkey_url": valkey_url.rsplit("/", 1)[0],
        "web_port": ports["web"], "simulator_port": ports["simulator"],
    }  # fmt: skip
    paths = {"PYTHONPATH": f"{project}{os.pathsep}{INSIDE}"}
    asked = str(INSIDE / "describe.py"), json.dumps(given)
    said = json.loads(_run(*asked, cwd=project, env={**os.environ, **paths}))
    programs = {item["name"]: Program(**item) for item in said["programs"]}
    # The same as the web program, with another application and port.
    web = programs["web"]
    settings = {"DJANGO_SETTINGS_MODULE": "baseline_settings"}
    swapped = {"project.wsgi:application": BASELINE, str(ports["web"]): str(ports["baseline"])}
    argv = [*(swapped.get(word, word) for word in web.argv), "--factory"]
    programs["baseline"] = replace(web, name="baseline", argv=argv, env={**web.env, **settings})
    return programs, {**said["env"], **paths, "LOG_LEVEL": "WARNING"}, ports


def _run(*arguments: str, cwd: Path, env: Mapping[str, str]) -> str:
    """Runs Python with these arguments; returns its output. Raises: LocalError when it fails."""
    command = [sys.executable, *arguments]
    ended = subprocess.run(command, cwd=cwd, env=dict(env), capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise LocalError(f"{' '.join(arguments[:2])} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stdout
