"""Databases on the tests' server: tables are created once in a run, and each database is a copy."""

import contextlib
import fcntl
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
from django.db import connection as django_connection
from psycopg import sql

from project.local.state import ROOT

TABLES = "shop_tables"
DEMO = "shop_demo"


def make_tables() -> str:
    """The name of a template database with all tables, empty."""
    with _one_at_a_time(), _connect() as connection:
        return _make_once(connection, TABLES, "template0", ["migrate", "--verbosity", "0"])


def copy_demo_database() -> str:
    """The URL of a fresh database with the demo's courses, coupons and buyers."""
    make_tables()
    name = f"shop_{secrets.token_hex(6)}"
    with _one_at_a_time(), _connect() as connection:
        _copy(connection, _make_once(connection, DEMO, TABLES, ["seed_demo"]), name)
    return _url(name)


def drop_database(url: str) -> None:
    with _connect() as connection:
        _drop(connection, url.rsplit("/", 1)[1])


def open_session(*, role: str | None = None) -> psycopg.Connection:
    """Another session in the test's database, beside Django's; `role` in place of Django's own."""
    database = django_connection.settings_dict
    return psycopg.connect(
        dbname=database["NAME"],
        user=role or database["USER"],
        password=database["PASSWORD"],
        host=database["HOST"],
        port=database["PORT"],
    )


def _url(name: str) -> str:
    return f"{os.environ['DATABASE_URL'].rsplit('/', 1)[0]}/{name}"


def _connect() -> psycopg.Connection:
    return psycopg.connect(_url("postgres"), autocommit=True)


def _make_once(connection: psycopg.Connection, name: str, template: str, command: list[str]) -> str:
    """Creates a database under a temporary name until it is complete, so that a failed one isn't used."""
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
        return name
    unfinished = f"{name}_unfinished"
    _drop(connection, unfinished)
    _copy(connection, template, unfinished)
    ended = subprocess.run(
        # Checks import all pages and have tests of their own, and all parallel processes wait for this.
        [sys.executable, "manage.py", *command, "--skip-checks"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": _url(unfinished)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise RuntimeError(f"manage.py {' '.join(command)} failed:\n{ended.stdout}{ended.stderr}")
    connection.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(unfinished), sql.Identifier(name))
    )
    return name


def _copy(connection: psycopg.Connection, template: str, name: str) -> None:
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
    )


def _drop(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """A lock between parallel test processes: they share a template, which can't be copied concurrently."""
    with (Path(os.environ["TEST_FOLDER"]) / "databases.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
