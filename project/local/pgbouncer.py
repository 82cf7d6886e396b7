"""A PgBouncer of our own in front of a PostgreSQL of our own.

The program comes from the system's packages or from `bin/build-pgbouncer`; `PGBOUNCER` names another one.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg

from project.local.child import Child
from project.local.errors import LocalError
from project.local.ports import LOOPBACK, find_free_port
from project.local.postgres import ROLE, SUPERUSER, PostgresServer
from project.local.state import ROOT
from project.local.unprivileged import choose_user, shelter
from project.local.waiting import wait_until

START_TIMEOUT_S = 20
# Prepared statements are followed from this version on.
FOLLOWS_PREPARED = (1, 21)
CONFIG = """\
[databases]
* = host={host} port={server}
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = users.txt
admin_users = {superuser}
pool_mode = {mode}
default_pool_size = 20
max_client_conn = 500
server_login_retry = 1
server_connect_timeout = 3
query_wait_timeout = 8
"""


def find_pgbouncers() -> list[tuple[tuple[int, ...], Path]]:
    """Version and path of every PgBouncer here, the newest first."""
    names = {
        os.environ.get("PGBOUNCER"),
        shutil.which("pgbouncer"),
        "/usr/sbin/pgbouncer",
        str(ROOT / ".local" / "pgbouncer" / "pgbouncer"),
    }
    paths = {Path(name).resolve() for name in names if name and Path(name).exists()}
    return sorted(((version_of(path), path) for path in paths), reverse=True)


def version_of(path: Path) -> tuple[int, ...]:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"PgBouncer (\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@dataclass
class PgBouncer:
    """One pooler, in mode `session` or `transaction`."""

    folder: Path
    server: PostgresServer
    mode: str
    binary: Path
    port: int = 0

    def __post_init__(self) -> None:
        user = choose_user()  # it refuses to be root, as PostgreSQL does
        self.folder.mkdir(parents=True, exist_ok=True)
        self._home = self.folder if user is None else shelter(self.folder, name="pgbouncer")
        argv = [str(self.binary), "pgbouncer.ini"]
        self.child = Child(
            name="pgbouncer", argv=argv, cwd=self._home, log_path=self.folder / "pgbouncer.log", user=user
        )
        self._user = user

    def start(self) -> None:
        """Raises: LocalError when it doesn't come up, with the end of its log."""
        self.port = self.port or find_free_port()
        self.aim(self.server)
        self.child.start()
        if not wait_until(self._is_ready, timeout_s=START_TIMEOUT_S):
            raise LocalError(
                f"PgBouncer did not start. The end of {self.child.log_path}:\n{self.child.log_tail()}"
            )

    def stop(self) -> None:
        self.child.stop(5)

    def remove(self) -> None:
        """Stops it and deletes its files, which have passwords in them."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def aim(self, server: PostgresServer) -> None:
        """Has it lead to another server from now on: what an operator does after a failover."""
        self.server = server
        text = CONFIG.format(
            host=LOOPBACK, server=server.port, port=self.port, superuser=SUPERUSER, mode=self.mode
        )
        if version_of(self.binary) >= FOLLOWS_PREPARED:
            text += "max_prepared_statements = 200\n"
        users = "".join(f'"{name}" "{server.password}"\n' for name in (ROLE, SUPERUSER))
        for name, content in (("pgbouncer.ini", text), ("users.txt", users)):
            path = self._home / name
            path.touch(mode=0o600)
            path.write_text(content)
            if self._user is not None:
                os.chown(path, self._user.uid, self._user.gid)
        if self.child.is_running():
            for command in ("RELOAD", "RECONNECT"):
                self._command(command)

    def url(self, database: str) -> str:
        return f"postgres://{ROLE}:{self.server.password}@{LOOPBACK}:{self.port}/{database}"

    def _command(self, command: str) -> None:
        where = f"postgres://{SUPERUSER}:{self.server.password}@{LOOPBACK}:{self.port}/pgbouncer"
        with psycopg.connect(where, autocommit=True, connect_timeout=5) as console:
            console.pgconn.exec_(command.encode())

    def _is_ready(self) -> bool:
        try:
            self._command("SHOW VERSION")
        except psycopg.Error:
            return False
        return True
