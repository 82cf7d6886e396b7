"""PgBouncer between the shop and PostgreSQL, in both modes: timeouts apply and statements are prepared, or
the start is refused.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from project.local.pgbouncer import FOLLOWS_PREPARED, PgBouncer, find_pgbouncers
from project.local.postgres import SUPERUSER, PostgresServer
from project.local.state import ROOT
from tests.databases import copy_demo_database, drop_database

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("poolers")]

FOUND = find_pgbouncers()
NEW = next((path for version, path in FOUND if version >= FOLLOWS_PREPARED), None)
OLD = next((path for version, path in FOUND if version < FOLLOWS_PREPARED), None)
needs_any = pytest.mark.skipif(not FOUND, reason="PgBouncer is missing: apt-get install pgbouncer")
needs_new = pytest.mark.skipif(
    NEW is None,
    reason="PgBouncer 1.21 or newer is missing: docs/scaling.md says how to get it; PGBOUNCER names it",
)
needs_old = pytest.mark.skipif(
    OLD is None, reason="no PgBouncer before 1.21 is installed, such as Debian 12's"
)

# Repeats one statement on more Django connections than the pooler has, as web processes do.
BUSY = """
import django, threading
django.setup()
from django.db import connection, transaction
from shop.models import Course
failures, prepared, timeouts = [], [], []
def work(number):
    try:
        for turn in range(20):
            with transaction.atomic():
                list(Course.objects.filter(pk__gt=turn % 3).order_by("pk")[:2])
            Course.objects.filter(pk=turn).count()
            if turn == number: connection.close()
        with transaction.atomic(), connection.cursor() as cursor:
            list(Course.objects.filter(pk__gt=1).order_by("pk")[:2])
            cursor.execute("SELECT count(*) FROM pg_prepared_statements")
            prepared.append(cursor.fetchone()[0])
    except Exception as error:
        failures.append(repr(error))
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(failures[:1] or "all passed")
with connection.cursor() as cursor:
    for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        cursor.execute("SELECT current_setting(%s)", [name])
        timeouts.append(cursor.fetchone()[0])
print(*timeouts)
print("prepared" if all(prepared) else "not prepared")
"""
GOOD = "all passed\n2s 10s 15s\nprepared"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[PostgresServer, str]]:
    url = copy_demo_database()
    port, password = re.findall(r":([^:@]+)@.*:(\d+)/", url)[0][::-1]
    yield PostgresServer(tmp_path / "unused", password, port=int(port)), url.rsplit("/", 1)[1]
    drop_database(url)


@pytest.fixture
def role_timeouts(database: tuple[PostgresServer, str]) -> Iterator[None]:
    """Only for this database, since other tests use the role."""
    server, name = database
    with server.connect(role=SUPERUSER) as connection:
        for setting, value in (
            ("lock_timeout", "2s"),
            ("statement_timeout", "10s"),
            ("idle_in_transaction_session_timeout", "15s"),
        ):
            connection.execute(f"ALTER ROLE shop IN DATABASE {name} SET {setting} = '{value}'")
        yield
        connection.execute(f"ALTER ROLE shop IN DATABASE {name} RESET ALL")


def run(url: str, pooler: str, *program: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": url, "DATABASE_POOLER": pooler}
    return subprocess.run(
        [sys.executable, *program], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )


def pooled(
    database: tuple[PostgresServer, str], tmp_path: Path, mode: str, binary: Path | None
) -> tuple[PgBouncer, str]:
    assert binary is not None
    server, name = database
    pooler = PgBouncer(tmp_path / "pooler", server, mode, binary)
    pooler.start()
    return pooler, pooler.url(name)


@needs_any
@pytest.mark.parametrize(
    "binary", [path for _, path in FOUND], ids=[".".join(map(str, version)) for version, _ in FOUND]
)
def test_session_mode(database: tuple[PostgresServer, str], tmp_path: Path, binary: Path) -> None:
    pooler, url = pooled(database, tmp_path, "session", binary)
    try:
        assert run(url, "session", "-c", BUSY).stdout.strip() == GOOD
        assert run(url, "session", "manage.py", "check", "--database", "default").returncode == 0
        assert run(url, "session", "manage.py", "migrate", "--check").returncode == 0
        assert run(url, "session", "-c", "import project.wsgi").returncode == 0
        # Without this setting the shop sends its timeouts as startup parameters, which a pooler refuses.
        assert "unsupported startup parameter" in run(url, "", "-c", BUSY).stderr
    finally:
        pooler.remove()


@needs_new
@pytest.mark.usefixtures("role_timeouts")
def test_transaction_mode(database: tuple[PostgresServer, str], tmp_path: Path) -> None:
    pooler, url = pooled(database, tmp_path, "transaction", NEW)
    try:
        assert run(url, "transaction", "-c", BUSY).stdout.strip() == GOOD
        assert run(url, "transaction", "manage.py", "check", "--database", "default").returncode == 0
        assert run(url, "transaction", "-c", "import project.wsgi").returncode == 0
        refused = run(url, "transaction", "manage.py", "migrate")
        assert "migrate needs a connection of its own" in refused.stderr
    finally:
        pooler.remove()


@needs_new
def test_transaction_mode_without_time_outs_is_refused(
    database: tuple[PostgresServer, str], tmp_path: Path
) -> None:
    pooler, url = pooled(database, tmp_path, "transaction", NEW)
    try:
        for program in (["manage.py", "check", "--database", "default"], ["-c", "import project.wsgi"]):
            refused = run(url, "transaction", *program)
            assert refused.returncode != 0
            assert (
                "have no idle_in_transaction_session_timeout, lock_timeout, statement_timeout"
                in refused.stderr
            )
        checked = run(url, "transaction", "manage.py", "check", "--database", "default").stderr
        (wanted,) = re.findall(r"superuser of PostgreSQL: (ALTER ROLE shop .*;) Then RECONNECT", checked)
        server, name = database
        # the message names the remedy
        with psycopg.connect(server.url(name, role=SUPERUSER), autocommit=True) as connection:
            connection.execute(wanted.replace("ROLE shop", f"ROLE shop IN DATABASE {name}"))
        pooler.aim(server)
        assert run(url, "transaction", "manage.py", "check", "--database", "default").returncode == 0
    finally:
        pooler.remove()


@needs_old
@pytest.mark.usefixtures("role_timeouts")
def test_transaction_mode_of_an_old_pgbouncer_is_refused(
    database: tuple[PostgresServer, str], tmp_path: Path
) -> None:
    pooler, url = pooled(database, tmp_path, "transaction", OLD)
    try:
        refused = run(url, "transaction", "-c", "import project.wsgi")
        assert refused.returncode != 0
        assert "doesn't follow prepared statements" in refused.stderr
    finally:
        pooler.remove()


def test_no_pooler_where_one_was_said_to_be_is_refused(database: tuple[PostgresServer, str]) -> None:
    server, name = database
    refused = run(server.url(name), "transaction", "manage.py", "check", "--database", "default")
    assert refused.returncode != 0
    assert "leave DATABASE_POOLER empty" in refused.stderr


def test_unknown_mode_is_named(database: tuple[PostgresServer, str]) -> None:
    server, name = database
    assert (
        'DATABASE_POOLER must be "session", "transaction" or empty'
        in run(server.url(name), "statement", "manage.py", "check").stderr
    )
