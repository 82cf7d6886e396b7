"""A shop to be measured: PostgreSQL, Valkey, web, worker and beat of one checkout of the project, on ports and data of their own.

Settings as in production: every commit is flushed, Valkey's log is written each second, DEBUG is off. Programs and their arguments are
those of the checkout's own `project/local/programs.py`; the Python packages are those that run this.
"""

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from bench.calibration import Calibration
from bench.client import Client, Plan, Result
from bench.keeper import Keeper
from bench.meter import Meter, Window
from bench.programs import Described, Ports, run
from project.local.child import Child
from project.local.errors import LocalError
from project.local.ports import is_listening
from project.local.postgres import SUPERUSER, PostgresServer
from project.local.valkey import ValkeyServer
from project.local.waiting import wait_until

READY_TIMEOUT_S = 60
DRAIN_TIMEOUT_S = 120
QUEUES = ("checkout", "orders", "payments", "upkeep")
_STATEMENT = re.compile(r"duration: [\d.]+ ms  (?:statement|execute [^:]*): (.*)")


@dataclass
class Stage:
    """One checkout's shop. `bench.opening.open_stage` makes one."""

    label: str
    project: Path
    folder: Path
    calibration: Calibration
    postgres: PostgresServer
    valkey: ValkeyServer
    ports: Ports
    described: Described
    children: Mapping[str, Child]
    keeper: Keeper
    broker_database: int = 0
    # Changes of Valkey's settings while it isn't resting.
    valkey_settings: Mapping[str, str] = field(default_factory=dict)
    _is_resting: bool = field(default=False, init=False)

    @property
    def web_port(self) -> int:
        return self.ports.web

    @property
    def env(self) -> Mapping[str, str]:
        """What all programs of the stage share, and what other Python of the project needs to work with its data."""
        return self.described.env

    def start(self, *names: str) -> None:
        """Starts programs one after the other and returns when they do their job.

        Raises: LocalError when one doesn't come up, with the end of its log.
        """
        for name in names:
            self.children[name].start()
            self.wait_until_up(name)

    def wait_until_up(self, name: str) -> None:
        """Raises: LocalError when a started program doesn't come up, with the end of its log."""
        child = self.children[name]
        if not wait_until(lambda: not child.is_running() or self._is_up(name), timeout_s=READY_TIMEOUT_S) or not child.is_running():
            raise LocalError(f"{name} of {self.label} did not start. The end of {child.log_path}:\n{child.log_tail()}")

    def stop(self, *names: str) -> None:
        """Ends programs that run; all are asked first, and each has its own time to finish."""
        running = [name for name in names if self.children[name].is_running()]
        if self._is_resting:
            self._signal(signal.SIGCONT, *running)
        for name in running:
            self.children[name].send(self.children[name].stop_signal)
        for name in running:
            self.children[name].wait(self.described.programs[name].stop_s)
            self.children[name].kill()

    def kill(self) -> None:
        """Ends all programs at once: no courtesy is needed where nothing is being done."""
        for child in self.children.values():
            child.kill()

    def rest(self) -> None:
        """Holds all programs still until they are `awake`. Nobody is held with a message in hand: first beat stops asking, then the queues
        are left to run empty.

        Raises: LocalError when they don't.
        """
        running = [name for name, child in self.children.items() if child.is_running()]
        self._signal(signal.SIGSTOP, *({"beat"} & {*running}))
        self.wait_for_queues()
        self._signal(signal.SIGSTOP, *running)
        self._is_resting = True

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Lets programs that rest work for the block. An error leaves them awake, to be stopped."""
        if not self._is_resting:
            yield
            return
        self._signal(signal.SIGCONT, *(name for name, child in self.children.items() if child.is_running()))
        self._is_resting = False
        self.set_valkey()
        yield
        self.rest()

    @contextlib.contextmanager
    def frozen(self, *names: str) -> Iterator[None]:
        """Holds programs and their children still for the block."""
        try:
            self._signal(signal.SIGSTOP, *names)
            yield
        finally:
            self._signal(signal.SIGCONT, *names)

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

    def client(self, plan: Plan, name: str = "client") -> Client:
        """A connected client for this stage. Those that run side by side have names of their own."""
        return Client(plan, self.folder / name)

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

    def set_valkey(self) -> None:
        """Gives the server the settings of this stage, and waits until a new log is written."""
        with self.valkey_client(self.broker_database) as client:
            changed = {name: value for name, value in self.valkey_settings.items() if client.config_get(name)[name] != value}
            for name, value in changed.items():
                client.config_set(name, value)

            def is_settled() -> bool:
                info: Mapping[str, Any] = client.info("persistence")
                return not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]

            if changed and not wait_until(is_settled, timeout_s=DRAIN_TIMEOUT_S):
                raise LocalError(f"Valkey did not finish its log within {DRAIN_TIMEOUT_S} s")

    def wait_for_queues(self) -> None:
        """Returns when no message waits and none is being worked on.

        Raises: LocalError when that takes too long.
        """
        with self.valkey_client(self.broker_database) as broker:

            def is_idle() -> bool:
                return not any(broker.llen(queue) for queue in QUEUES) and not broker.hlen("unacked")

            if not wait_until(is_idle, timeout_s=DRAIN_TIMEOUT_S):
                raise LocalError(f"the queues of {self.label} were not empty within {DRAIN_TIMEOUT_S} s")

    def tidy(self) -> None:
        """What autovacuum would have done some time after seeding. Without it PostgreSQL plans for tables that were empty."""
        with self.connect() as connection:
            connection.execute("VACUUM (ANALYZE)")

    def tidy_up(self, connection: psycopg.Connection[Any]) -> None:
        """The same after a little more was seeded: new statistics only where autovacuum would take them, which spares most of the time."""
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("VACUUM")
        changed = connection.execute(
            """
            SELECT string_agg(relid::regclass::text, ', ') FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid
            WHERE n_mod_since_analyze > 50 + 0.1 * greatest(reltuples, 0)
            """
        ).fetchone()
        if changed is not None and changed[0] is not None:
            connection.execute(f"ANALYZE {changed[0]}")

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
        """How many messages were ever put into any broker's queues on this server."""
        with self.valkey_client(self.broker_database) as client:
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
        return run([sys.executable, "manage.py", *args], cwd=self.project, env=self.env)

    def audit(self) -> list[str]:
        """What the shop's own audit finds wrong with the books; empty when nothing is."""
        try:
            self.manage("audit")
        except LocalError as error:
            return [f"{self.label}: manage.py audit: {error}"]
        return []

    def _is_up(self, name: str) -> bool:
        ports = {"web": self.ports.web, "baseline": self.ports.baseline, "flower": self.ports.flower}
        if name in ports:
            return is_listening(ports[name])
        if name == "beat":
            return True
        with self.valkey_client(self.broker_database) as client:  # a worker that consumes is blocked in a read of its queues
            return any(entry["cmd"] == "brpop" and entry["db"] == str(self.broker_database) for entry in client.client_list())

    def _signal(self, signum: signal.Signals, *names: str) -> None:
        """Holds programs and their children still, or wakes them."""
        groups = [self.children[name].pid for name in names]
        if signum == signal.SIGSTOP:
            self.keeper.hold(groups)
        for group in groups:
            os.killpg(group, signum)
        if signum == signal.SIGCONT:
            self.keeper.let_go(groups)


@dataclass
class Measured:
    """What a measured block leaves behind."""

    client_s: float = 0.0
    window: Window = field(init=False)


def kind_of(program: str) -> str:
    """The kind that a program's CPU time is counted as."""
    return {"baseline": "web", "worker-events": "worker"}.get(program, program)
