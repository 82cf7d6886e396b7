"""PostgreSQL and Valkey from wheels start anywhere, recover from crashes, and leave nothing behind."""

import contextlib
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from project.local.errors import LocalError
from project.local.ports import choose_port, find_free_port, is_port_free, require_port
from project.local.postgres import PostgresServer
from project.local.valkey import ValkeyServer
from project.local.waiting import wait_until

pytestmark = pytest.mark.xdist_group("servers")

PASSWORD = "s3cret"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="is about starting as root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below tmp_path, which only we can enter: PostgreSQL's user must be able to enter it."""
    outer = Path(tempfile.mkdtemp(dir=os.environ["TEST_FOLDER"]))
    outer.chmod(0o711)
    made = outer / "a folder with spaces, 'quotes' and 中文"
    made.mkdir()
    yield made
    shutil.rmtree(outer)


@pytest.fixture
def postgres(folder: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(folder / "postgres", PASSWORD, durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def valkey_server(folder: Path) -> Iterator[ValkeyServer]:
    server = ValkeyServer(folder / "valkey", PASSWORD)
    server.start()
    yield server
    server.stop()


def test_postgres_gives_the_shop_a_role_that_may_make_databases_and_nothing_else(
    postgres: PostgresServer,
) -> None:
    with postgres.connect() as connection:
        row = connection.execute(
            "SELECT rolcreatedb, rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
        collation = connection.execute(
            "SELECT datcollate, datlocprovider, datlocale FROM pg_database WHERE datname = 'shop'"
        ).fetchone()
    assert row == (True, False, False)
    assert collation == ("C", "b", "C.UTF-8")


def test_postgres_wants_the_password(postgres: PostgresServer) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.url().replace(PASSWORD, "guess"))


def test_postgres_keeps_its_data_over_a_stop_and_leaves_no_process(postgres: PostgresServer) -> None:
    with postgres.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    backends = psutil.Process(postgres.child.pid).children(recursive=True)
    postgres.stop()
    assert postgres.child.exit_status == 0
    assert wait_until(lambda: not any(backend.is_running() for backend in backends), timeout_s=10)
    postgres.start()
    with postgres.connect() as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_postgres_recovers_from_a_kill(postgres: PostgresServer) -> None:
    with postgres.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        os.kill(postgres.child.pid, signal.SIGKILL)
        postgres.child.wait(10)
    postgres.start()
    with postgres.connect() as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_postgres_that_still_runs_is_taken_over(postgres: PostgresServer, folder: Path) -> None:
    """The runner was killed on a system that doesn't signal children: the next start finds the server
    running.
    """
    orphan = psutil.Process(postgres.child.pid)
    heir = PostgresServer(folder / "postgres", PASSWORD, durable=False)
    heir.start()
    try:
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
        heir.connect().close()
    finally:
        heir.stop()


def test_postgres_that_still_runs_is_found_without_a_record(postgres: PostgresServer, folder: Path) -> None:
    (folder / "postgres" / "process.json").unlink()
    heir = PostgresServer(folder / "postgres", PASSWORD, durable=False)
    heir.start()
    try:
        assert postgres.child.wait(10)
    finally:
        heir.stop()


def test_postgres_starts_over_a_stale_pid_file(postgres: PostgresServer, folder: Path) -> None:
    """After a reboot the process id in the file may be that of any process: here it is this test's."""
    pid_file = folder / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postgres.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    postgres.start()
    postgres.connect().close()


def test_postgres_begins_again_after_a_first_start_that_was_cut_short(folder: Path) -> None:
    (folder / "postgres" / "data" / "base").mkdir(parents=True)
    server = PostgresServer(folder / "postgres", PASSWORD, durable=False)
    server.start()
    try:
        server.connect().close()
    finally:
        server.stop()


def test_postgres_says_why_it_does_not_start(folder: Path) -> None:
    server = PostgresServer(folder / "postgres", PASSWORD, durable=False)
    server.start()
    server.stop()
    (folder / "postgres" / "data" / "postgresql.conf").write_text("no_such_setting = on\n")
    with pytest.raises(LocalError, match="no_such_setting"):
        server.start()


def test_two_at_once_take_different_ports(folder: Path) -> None:
    pairs = [
        (
            PostgresServer(folder / f"postgres{n}", PASSWORD, durable=False),
            ValkeyServer(folder / f"valkey{n}", PASSWORD),
        )
        for n in range(2)
    ]
    try:
        for postgres, valkey in pairs:
            postgres.start()
            valkey.start()
        assert len({server.port for pair in pairs for server in pair}) == 4
    finally:
        for postgres, valkey in pairs:
            postgres.stop()
            valkey.stop()


@needs_root
def test_postgres_runs_as_nobody_and_changes_no_folder_of_others(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = PostgresServer(private / "postgres", PASSWORD, durable=False)
    server.start()
    try:
        assert psutil.Process(server.child.pid).username() == "nobody"
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert (private / "postgres").is_symlink()
    finally:
        server.stop()
        server.remove()
    assert not (private / "postgres").exists()


def test_valkey_wants_the_password_and_evicts_nothing(valkey_server: ValkeyServer) -> None:
    with (
        pytest.raises(redis.AuthenticationError),
        redis.Redis(port=valkey_server.port) as stranger,
    ):
        stranger.ping()
    with redis.Redis.from_url(valkey_server.url(), decode_responses=True) as client:
        assert client.config_get("maxmemory-policy", "appendonly", "appendfsync", "bind") == {
            "maxmemory-policy": "noeviction",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "bind": "127.0.0.1",
        }
        assert client.info("server")["server_name"] == "valkey"


def test_valkey_keeps_its_data_over_a_stop(valkey_server: ValkeyServer) -> None:
    with redis.Redis.from_url(valkey_server.url()) as client:
        client.set("kept", "yes")
    valkey_server.stop()
    valkey_server.start()
    with redis.Redis.from_url(valkey_server.url()) as client:
        assert client.get("kept") == b"yes"


def test_valkey_that_still_runs_is_replaced(valkey_server: ValkeyServer, folder: Path) -> None:
    heir = ValkeyServer(folder / "valkey", PASSWORD)
    heir.start()
    try:
        assert valkey_server.child.wait(10)
        assert heir.is_ready()
    finally:
        heir.stop()


def test_valkey_config_is_private(valkey_server: ValkeyServer, folder: Path) -> None:
    assert stat.S_IMODE((folder / "valkey" / "valkey.conf").stat().st_mode) == 0o600


def bind_below_the_random_ports(server: socket.socket) -> int:
    """Listens on a port that no parallel test gets from the kernel once this one leaves it."""
    for port in random.sample(range(20_000, 30_000), 100):
        with contextlib.suppress(OSError):
            server.bind(("127.0.0.1", port))
            server.listen()
            return port
    raise AssertionError("no port is free")


def test_taken_port_is_reported_with_the_option_for_another() -> None:
    with socket.socket() as other:
        port = bind_below_the_random_ports(other)
        assert not is_port_free(port)
        assert choose_port(port) != port
        with pytest.raises(LocalError, match=rf"Port {port} .* taken .* --port N"):
            require_port(port, option="--port")
    assert choose_port(port) == port


def test_two_shops_that_start_at_once_choose_different_ports() -> None:
    """Neither listens yet. Two servers on one port would get each other's buyers."""
    port = find_free_port()
    choose = f"from project.local.ports import choose_port; print(choose_port({port}), flush=True); input()"
    others = [
        subprocess.Popen(
            [sys.executable, "-c", choose], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        chosen = [int(other.stdout.readline()) for other in others if other.stdout]
    finally:
        for other in others:
            other.communicate("\n")
    assert len({port, *chosen}) == 3


def test_a_server_moves_on_when_its_port_is_taken_meanwhile(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        postgres = PostgresServer(folder / "postgres", PASSWORD, durable=False, port=taken)
        valkey = ValkeyServer(folder / "valkey", PASSWORD, port=taken)
        try:
            postgres.start()
            valkey.start()
            assert taken not in {postgres.port, valkey.port}
        finally:
            postgres.stop()
            valkey.stop()
    assert find_free_port() > 0
