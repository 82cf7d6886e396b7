"""The roles that docker-compose.yml makes, on a database of their own: the shop reads and writes rows and
can't undo what is append-only.
"""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from project.local.postgres import SUPERUSER, find_installation
from project.local.state import ROOT

pytestmark = [pytest.mark.xdist_group("roles"), pytest.mark.timeout(180)]


PASSWORDS = ("zero", "one", "two")


@dataclass(frozen=True)
class Roles:
    """URLs of a migrated database, as each of the three roles."""

    superuser: str
    owner: str
    shop: str
    # The script with the roles' names here, and its other variables.
    script: str
    database: str

    def run_script(self, superuser: str, owner: str, shop: str, *, now: str = PASSWORDS[0]) -> None:
        """Gives the roles these passwords, as the superuser, whose password is `now`."""
        server = with_password(self.superuser, now).rsplit("/", 1)[0]
        psql = [str(find_installation() / "bin" / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        variables = {
            "database": self.database,
            "superuser_password": superuser,
            "owner_password": owner,
            "shop_password": shop,
        }
        subprocess.run(
            [*psql, *(f"--set={name}={value}" for name, value in variables.items()), f"{server}/postgres"],
            input=self.script,
            text=True,
            check=True,
            capture_output=True,
        )


def with_password(url: str, password: str) -> str:
    return re.sub(r"(//\w+):\w+@", rf"\1:{password}@", url)


@pytest.fixture(scope="module")
def roles() -> Iterator[Roles]:
    """The roles have other names here, since roles are global to a server."""
    server = os.environ["DATABASE_URL"].replace("//shop:", f"//{SUPERUSER}:").rsplit("/", 1)[0]
    ending = secrets.token_hex(4)
    names = {"shop_owner": f"owner_{ending}", "shop": f"buyer_{ending}"}
    admin, database = f"admin_{ending}", f"roles_{ending}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(
                sql.Identifier(admin), sql.Literal(PASSWORDS[0])
            )
        )
    script = (ROOT / "deploy" / "postgres" / "roles.psql").read_text()
    script = script.replace("'shop_owner'", f"'{names['shop_owner']}'").replace(
        "'shop'", f"'{names['shop']}'"
    )
    for word, name in names.items():
        for before, after in ((" ", " "), (" ", ";")):
            script = script.replace(f"{before}{word}{after}", f"{before}{name}{after}")
    address = f"{server.split('@')[1]}/{database}"
    urls = Roles(
        f"postgres://{admin}:{PASSWORDS[0]}@{address}",
        f"postgres://{names['shop_owner']}:{PASSWORDS[1]}@{address}",
        f"postgres://{names['shop']}:{PASSWORDS[2]}@{address}",
        script,
        database,
    )
    for _ in range(2):  # it may be run again
        urls.run_script(*PASSWORDS)
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": urls.owner},
        check=True,
        capture_output=True,
    )
    yield urls
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
        for name in (*names.values(), admin):
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE shop_ledgertransfer",
        "TRUNCATE shop_orderevent CASCADE",
        "ALTER TABLE shop_ledgertransfer DISABLE TRIGGER ALL",
        "DROP TRIGGER append_only ON shop_ledgertransfer",
        "DROP TABLE shop_orderevent",
        "CREATE TABLE mine (id int)",
        "SET session_replication_role = replica",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "COPY shop_course TO PROGRAM 'true'",
    ],
)
def test_the_shop_cant_undo_what_holds_it(roles: Roles, statement: str) -> None:
    with psycopg.connect(roles.shop) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_the_owner_could(roles: Roles) -> None:
    """The control: what refuses is the role, not the server.

    The trigger that stops even the owner is the owner's to switch off.
    """
    with psycopg.connect(roles.owner) as connection:
        connection.execute("ALTER TABLE shop_ledgertransfer DISABLE TRIGGER USER")
        connection.execute("TRUNCATE shop_ledgertransfer")
        connection.rollback()


def test_the_shop_works_as_its_role(roles: Roles) -> None:
    env = {**os.environ, "DATABASE_URL": roles.shop}
    for command in (["seed_demo"], ["audit"], ["migrate", "--check"]):
        ended = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr


def test_neither_role_is_a_superuser(roles: Roles) -> None:
    for url in (roles.owner, roles.shop):
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls FROM pg_roles WHERE rolname = "
                "current_user"
            ).fetchone()
        assert row == (False, False, False, False)


def test_script_gives_all_roles_new_passwords_and_ends_no_connection(roles: Roles) -> None:
    urls = (roles.superuser, roles.owner, roles.shop)
    fresh = ("three", "four", "five")
    connections = [psycopg.connect(url, autocommit=True) for url in urls]
    try:
        roles.run_script(*fresh)
        for connection, old, password in zip(connections, urls, fresh, strict=True):
            assert connection.execute("SELECT count(*) FROM shop_course").fetchone() is not None
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(old)
            psycopg.connect(with_password(old, password)).close()
    finally:
        for connection in connections:
            connection.close()
        roles.run_script(*PASSWORDS, now="three")
