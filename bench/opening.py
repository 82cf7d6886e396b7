"""Opening a stage: servers with the project's tables, and programs that are ready to be started."""

import contextlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import redis

from bench.calibration import Calibration
from bench.keeper import Keeper
from bench.past import add_orders
from bench.programs import Ports, Program, describe
from bench.stage import Stage
from bench.tables import last_id
from bench.world import add_catalogue
from project.local.child import Child, stop_leftover
from project.local.postgres import SUPERUSER, PostgresServer
from project.local.state import State
from project.local.valkey import ValkeyServer

# The time of each commit is kept, to tell when a row could be seen. A checkpoint in the middle of a short run would weigh more than it does
# in an hour of a shop's life, and so would the whole pages that are logged after it.
POSTGRES_SETTINGS = {"track_commit_timestamp": "on", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
# How many times as long as it is called a history may be.
HISTORY_MAX_GROWTH = 1.1


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
        ports = Ports.find()
        valkey_url = valkey.url().rsplit("/", 1)[0]
        described = describe(project, folder, database_url=postgres.url(), valkey_url=valkey_url, ports=ports)
        children = make_children(described.programs, folder, project=project)
        keeper = stack.enter_context(Keeper())
        stage = Stage(label, project, folder, calibration, postgres, valkey, ports, described, children, keeper)
        stack.callback(lambda: stage.stop(*stage.children))
        stage.manage("migrate", "--verbosity", "0")
        yield stage


@contextlib.contextmanager
def open_history(label: str, count: int, *, project: Path, folder: Path, calibration: Calibration) -> Iterator[Stage]:
    """A stage whose history is kept in `folder` for the next run. Each run adds orders; where they are a tenth of it, all is loaded anew."""
    marker = folder / "orders"
    is_kept = marker.exists() and int(marker.read_text()) <= count * HISTORY_MAX_GROWTH
    if not is_kept:
        remove_stage(folder)
    with open_stage(label, project=project, folder=folder, calibration=calibration) as stage:
        if not is_kept:
            load_history(stage, count)
        try:
            yield stage
        finally:
            with stage.connect() as connection:
                marker.write_text(str(last_id(connection, "shop_order")))


def load_history(stage: Stage, count: int) -> None:
    """The catalogue, and so many paid orders of buyers with five each."""
    with stage.connect() as connection:
        add_catalogue(connection)
    add_orders(stage.connect, count, is_paid=True, per_buyer=5)
    stage.tidy()


def remove_stage(folder: Path) -> None:
    """Removes a stage's folder; PostgreSQL's data may lie elsewhere, behind a link."""
    State(folder).reset()
    shutil.rmtree(folder, ignore_errors=True)


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


def make_children(programs: Mapping[str, Program], folder: Path, *, project: Path) -> dict[str, Child]:
    """Ready to be started; logs and records go to `folder`. Stops what a run that was killed has left of them."""
    log_folder = folder / "log"
    log_folder.mkdir(parents=True, exist_ok=True)
    children = {}
    for name, program in programs.items():
        record = folder / f"{name}.json"
        stop_leftover(record)
        children[name] = Child(
            name=name, argv=program.argv, env=program.env, cwd=project, log_path=log_folder / f"{name}.log", record_path=record
        )
    return children
