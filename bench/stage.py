"""A shop to be measured:

PostgreSQL, Valkey, web, worker and beat of one checkout of the project, on ports and data of their own.

Settings as in production: every commit is flushed, Valkey's log is written each second, DEBUG is off.
Programs and their arguments are those of the checkout's own `project/local/programs.py`; the Python packages
are those that run this.
"""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import redis

from bench.calibration import Calibration
from bench.client import Client, Plan, Result
from bench.meter import Meter, Window
from bench.programs import Described, run
from bench.resume_stopped import ResumeStopped
from project.local.child import Child
from project.local.errors import LocalError
from project.local.ports import is_listening
from project.local.postgres import SUPERUSER, PostgresServer
from project.local.valkey import ValkeyServer
from project.local.waiting import wait_until

READY_TIMEOUT_S, DRAIN_TIMEOUT_S = 60, 120
QUEUES = ("checkout", "orders", "payments", "upkeep")
_STATEMENT = re.compile(r"duration: [\d.]+ ms  (?:statement|execute [^:]*): ")


@dataclass
class Stage:
    """One checkout's shop. `bench.opening.open_stage` makes one."""

    label: str
    project: Path
    folder: Path
    calibration: Calibration
    postgres: PostgresServer
    valkey: ValkeyServer
    described: Described
    children: Mapping[str, Child]
    resumer: ResumeStopped

    @property
    def web_port(self) -> int:
        return self.described.ports["web"]

    @property
    def env(self) -> Mapping[str, str]:
        """What all programs of the stage share, and what other Python of the project needs to work with its
        data.
        """
        return self.described.env

    def start(self, *names: str) -> None:
        """Starts programs one after the other and returns when they do their job.

        Raises: LocalError when one doesn't come up, with the end of its log.
        """
        for name in names:
            child = self.children[name]
            child.start()
            wait_until(partial(self._is_over_or_up, name), timeout_s=READY_TIMEOUT_S)
            if not child.is_running() or not self._is_up(name):
                raise LocalError(
                    f"{name} of {self.label} did not start. The end of {child.log_path}:\n{child.log_tail()}"
                )

    def stop(self, *names: str) -> None:
        """Ends programs that run; all are asked first, and each has its own time to finish."""
        for name in self._running(*names):
            self.children[name].send(self.children[name].stop_signal)
        for name in self._running(*names):
            self.children[name].stop(self.described.programs[name].stop_s)

    @contextlib.contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Stops programs and their children for the block; resumes them afterwards."""
        groups = [self.children[name].pid for name in self._running(*names)]
        self.resumer.stopping(groups)
        try:
            _signal(groups, signal.SIGSTOP)
            yield
        finally:
            _signal(groups, signal.SIGCONT)
            self.resumer.resumed(groups)

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """Stops all programs while another stage is measured.

        None is stopped with a message in hand: first beat, then the others when the queues are empty.
        """
        with self.frozen("beat"):
            self.wait_for_queues()
            with self.frozen(*self.children):
                yield

    @contextlib.contextmanager
    def measured(self, *, worker_pids: Sequence[int] = ()) -> Iterator["Measured"]:
        """A window over all that runs, and over further processes that do the worker's work; read its
        `window` after the block.
        """
        roots = {
            "postgres": [self.postgres.child.pid],
            "valkey": [self.valkey.child.pid],
            "worker": [*worker_pids],
        }
        for name in self._running(*self.children):
            roots.setdefault("web" if name == "baseline" else name, []).append(self.children[name].pid)
        meter = Meter(self.calibration, roots)
        measured = Measured()
        meter.start()
        yield measured
        measured.window = meter.stop()

    def connect(self) -> psycopg.Connection[Any]:
        """A superuser's connection of ours; what it does is never in the log of statements."""
        connection = self.postgres.connect(role=SUPERUSER)
        connection.execute("SET log_min_duration_statement = -1")
        return connection

    def client(self, plan: Plan, name: str = "client") -> Client:
        """A connected client for this stage. Those that run side by side have names of their own."""
        return Client(plan, self.folder / name)

    def send(self, requests: Sequence[bytes], *, connections: int = 8) -> Result:
        """Sends requests without measuring anything; keeps the answers."""
        with self.client(Plan(self.web_port, requests, connections, keep=True), "sender") as client:
            return client.run()

    def wait_drained(self, connection: psycopg.Connection[Any], table: str) -> None:
        """Returns when no row of the table has anything to be done with now.

        Raises: LocalError when that takes too long.
        """

        def is_drained() -> bool:
            row = connection.execute(
                f"SELECT EXISTS (SELECT 1 FROM {table} WHERE available_at <= now() + interval '5 minutes')"
            ).fetchone()
            return row is not None and not row[0]

        if not wait_until(is_drained, timeout_s=DRAIN_TIMEOUT_S, poll_s=0.1):
            raise LocalError(f"{table} of {self.label} was not drained within {DRAIN_TIMEOUT_S} s")

    def wait_for_queues(self) -> None:
        """Returns when no message waits and none is being worked on.

        Raises: LocalError when that takes too long.
        """
        with self._broker() as broker:

            def is_idle() -> bool:
                return not any(broker.llen(queue) for queue in QUEUES) and not broker.hlen("unacked")

            if not wait_until(is_idle, timeout_s=DRAIN_TIMEOUT_S):
                raise LocalError(f"the queues of {self.label} were not empty within {DRAIN_TIMEOUT_S} s")

    def count_published(self) -> int:
        """How many messages were ever put into the queues."""
        with self._broker() as broker:
            stats: Mapping[str, Any] = broker.info("commandstats")
        return int(stats.get("cmdstat_lpush", {}).get("calls", 0))

    def vacuum(self, connection: psycopg.Connection[Any]) -> None:
        """What autovacuum would have done some time after seeding.

        Without it PostgreSQL plans for tables that were empty. New statistics only where autovacuum would
        take them.
        """
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("VACUUM")
        changed = connection.execute(
            """
            SELECT string_agg(relid::regclass::text, ', ') FROM pg_stat_user_tables
            JOIN pg_class ON pg_class.oid = relid
            WHERE n_mod_since_analyze > 50 + 0.1 * greatest(reltuples, 0)
            """
        ).fetchone()
        if changed is not None and changed[0] is not None:
            connection.execute(f"ANALYZE {changed[0]}")

    @contextlib.contextmanager
    def statements_counted(self) -> Iterator[list[int]]:
        """Counts the programs' SQL statements, BEGIN and COMMIT among them; the list has the number when the
        block has ended.
        """
        counted: list[int] = []
        self._log_statements(0)
        log = self.postgres.child.log_path
        start = log.stat().st_size
        try:
            yield counted
        finally:
            self._log_statements(-1)
        with log.open(encoding="utf-8", errors="replace") as file:
            file.seek(start)
            counted.append(sum(_STATEMENT.search(line) is not None for line in file))

    def _log_statements(self, minimum_ms: int) -> None:
        with self.connect() as connection:
            connection.execute(f"ALTER SYSTEM SET log_min_duration_statement = {minimum_ms}")
            connection.execute("SELECT pg_reload_conf(), pg_sleep(0.3)")

    def manage(self, *args: str) -> str:
        """Runs manage.py and returns what it said.

        Raises: LocalError when it fails.
        """
        return run([sys.executable, "manage.py", *args], cwd=self.project, env=self.env)

    def audit(self) -> list[str]:
        """What the shop's own audit finds wrong with the books; empty when nothing is."""
        try:
            self.manage("audit")
        except LocalError as error:
            return [f"{self.label}: manage.py audit: {error}"]
        return []

    def _broker(self) -> "redis.Redis":
        return redis.Redis.from_url(self.valkey.url(0), decode_responses=True)

    def _running(self, *names: str) -> list[str]:
        return [name for name in names if self.children[name].is_running()]

    def _is_over_or_up(self, name: str) -> bool:
        return not self.children[name].is_running() or self._is_up(name)

    def _is_up(self, name: str) -> bool:
        if name in self.described.ports:
            return is_listening(self.described.ports[name])
        if name == "beat":
            return True
        workers = self._running("worker", *({"gateway"} & {*self.children}))
        with self._broker() as broker:  # a worker that consumes is blocked in a read of its queues
            return len(
                [entry for entry in broker.client_list() if (entry["cmd"], entry["db"]) == ("brpop", "0")]
            ) >= len(workers)


@dataclass
class Measured:
    """What a measured block leaves behind."""

    window: Window = field(init=False)


def _signal(groups: Sequence[int], signum: signal.Signals) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signum)
