"""Opening a stage: servers with the project's tables, and programs that are ready to be started."""

import contextlib
import hashlib
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import redis

from bench.calibration import Calibration
from bench.history import multiply
from bench.programs import describe
from bench.resume_stopped import ResumeStopped
from bench.scenarios.notify import pay_orders
from bench.scenarios.open_orders import seed_open_orders
from bench.seed import add_catalogue
from bench.stage import Stage
from project.local.child import Child, stop_leftover
from project.local.postgres import SUPERUSER, PostgresServer
from project.local.state import State
from project.local.valkey import ValkeyServer

# The time of each commit is kept, to tell when a row could be seen. A checkpoint in the middle of a short run
# would weigh more than it does in an hour of a shop's life, and so would the whole pages that are logged
# after it.
POSTGRES_SETTINGS = {"track_commit_timestamp": "on", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
# So many orders of a history are bought and paid over HTTP; the others are copies of them.
BOUGHT = 500
# By how much a history that is kept may outgrow its name: each run adds orders to it.
HISTORY_MAX_GROWTH = 1.1


@contextlib.contextmanager
def open_stage(
    label: str, *, project: Path, folder: Path, calibration: Calibration, programs: tuple[str, ...]
) -> Iterator[Stage]:
    """Servers with the project's tables, and programs that run.

    Leaves no process behind; data that is in `folder` is used again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        postgres = PostgresServer(folder / "postgres", _kept_password(folder))
        stack.callback(postgres.stop)
        postgres.start()
        _set_up(postgres)
        valkey = ValkeyServer(folder / "valkey", secrets.token_hex(16))
        stack.callback(valkey.stop)
        valkey.start()
        with redis.Redis.from_url(valkey.url()) as client:
            client.flushall()
        described = describe(
            project, folder, database_url=postgres.url(), valkey_url=valkey.url().rsplit("/", 1)[0]
        )
        children = {}
        (folder / "log").mkdir(exist_ok=True)
        for name, program in described.programs.items():
            record, log = folder / f"{name}.json", folder / "log" / f"{name}.log"
            stop_leftover(record)
            children[name] = Child(
                name=name, argv=program.argv, env=program.env, cwd=project, log_path=log, record_path=record
            )
        resumer = stack.enter_context(ResumeStopped())
        stage = Stage(label, project, folder, calibration, postgres, valkey, described, children, resumer)
        stack.callback(lambda: stage.stop(*children))
        stage.manage("migrate", "--verbosity", "0")
        with stage.connect() as connection:
            add_catalogue(connection)
        stage.start(*programs)
        yield stage


@contextlib.contextmanager
def open_history(
    label: str, count: int, *, project: Path, folder: Path, calibration: Calibration
) -> Iterator[Stage]:
    """A stage with a history that is kept in `folder` for the next run, as long as no migration changes."""
    migrations = hashlib.sha256(
        b"".join(path.read_bytes() for path in sorted(project.glob("*/migrations/*.py")))
    ).hexdigest()[:12]
    folder = folder / f"{count}-{migrations}"
    marker = folder / "orders"
    is_kept = marker.exists() and int(marker.read_text()) <= count * HISTORY_MAX_GROWTH
    if not is_kept:
        remove_stage(folder)
    with open_stage(
        label, project=project, folder=folder, calibration=calibration, programs=("web", "worker", "beat")
    ) as stage:
        if not is_kept:
            load_history(stage, count)
        try:
            yield stage
        finally:
            with stage.connect() as connection:
                row = connection.execute("SELECT count(*) FROM shop_order").fetchone()
            marker.write_text(str(row[0] if row else 0))


def load_history(stage: Stage, count: int) -> None:
    """So many paid orders, each of a buyer of its own."""
    orders = seed_open_orders(stage, min(BOUGHT, count))
    pay_orders(stage, orders)
    with stage.at_rest(), stage.connect() as connection:
        multiply(connection, count // len(orders) - 1)
        stage.vacuum(connection)


def remove_stage(folder: Path) -> None:
    """Removes a stage's folder; PostgreSQL's data may lie elsewhere, behind a link."""
    State(folder).reset()
    shutil.rmtree(folder, ignore_errors=True)


def _kept_password(folder: Path) -> str:
    path = folder / "password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
    return path.read_text()


def _set_up(postgres: PostgresServer) -> None:
    """Changes the server's settings for good; some count only after a restart."""
    with postgres.connect(role=SUPERUSER) as connection:
        row = connection.execute("SHOW track_commit_timestamp").fetchone()
        if row is not None and row[0] == "on":
            return
        for name, value in POSTGRES_SETTINGS.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    postgres.stop()
    postgres.start()
