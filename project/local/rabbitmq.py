"""A RabbitMQ server of our own, from the system's package, with its data in one folder."""

import os
import secrets
import shutil
import socket
from dataclasses import dataclass, field
from pathlib import Path

from project.local.child import Child
from project.local.errors import LocalError
from project.local.ports import LOOPBACK, find_free_port
from project.local.tls import Certificate
from project.local.waiting import wait_until

START_TIMEOUT_S = 90
START_ATTEMPTS = 3
# Erlang's own port was free when it was chosen, and another program has taken it since.
PORT_IS_TAKEN = "dist_port_already_used"
# The server itself: what lies in /usr/sbin wants to be root or a user of its own.
BINARIES = (Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),)
USER = "shop"
CONFIG = """\
listeners.tcp.1 = {host}:{port}
default_user = {user}
default_pass = {password}
loopback_users = none
log.console = true
log.file = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
"""
TLS = """\
listeners.ssl.1 = {host}:{port}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_none
"""


def find_rabbitmq() -> Path | None:
    """The server's program, if the package is installed."""
    return next(
        (path for path in BINARIES if path.exists() and shutil.which("erl") and shutil.which("epmd")), None
    )


@dataclass
class RabbitServer:
    """One node. It has a port mapper of its own too, which Erlang would otherwise leave behind."""

    folder: Path
    certificate: Certificate | None = None
    port: int = 0
    tls_port: int = 0
    password: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        binary = find_rabbitmq()
        if binary is None:
            raise LocalError("RabbitMQ is missing: apt-get install rabbitmq-server")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mapper_port = find_free_port()
        self._env = {
            **os.environ,
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "RABBITMQ_NODENAME": f"shop{self._mapper_port}@localhost",
            "RABBITMQ_DIST_PORT": str(find_free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            # One scheduler's worth of spinning is enough on a machine that others share.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }
        log = self.folder / "rabbitmq.log"
        self._mapper = Child(
            name="epmd",
            argv=["epmd", "-port", str(self._mapper_port), "-address", LOOPBACK],
            cwd=self.folder,
            log_path=self.folder / "epmd.log",
        )
        self.child = Child(name="rabbitmq", argv=[str(binary)], env=self._env, cwd=self.folder, log_path=log)

    def start(self) -> None:
        """Raises: LocalError when it doesn't come up, with the end of its log."""
        self.port = self.port or find_free_port()
        text = CONFIG.format(host=LOOPBACK, port=self.port, user=USER, password=self.password)
        if self.certificate is not None:
            self.tls_port = self.tls_port or find_free_port()
            made = self.certificate
            text += TLS.format(
                host=LOOPBACK,
                port=self.tls_port,
                authority=made.authority,
                certificate=made.certificate,
                key=made.key,
            )
        path = self.folder / "rabbitmq.conf"
        path.touch(mode=0o600)
        path.write_text(text)
        (self.folder / "plugins").write_text("[].\n")
        if not self._mapper.is_running():
            self._mapper.start()
        for _ in range(START_ATTEMPTS):
            self.child.start()
            if (
                wait_until(lambda: not self.child.is_running() or self._is_ready(), timeout_s=START_TIMEOUT_S)
                and self.child.is_running()
            ):
                return
            tail = self.child.log_tail()
            self.child.kill()
            if PORT_IS_TAKEN not in tail:
                break
            self._env["RABBITMQ_DIST_PORT"] = str(find_free_port())
        raise LocalError(f"RabbitMQ did not start. The end of {self.child.log_path}:\n{tail}")

    def stop(self) -> None:
        self.child.stop(20)
        self._mapper.kill()

    def kill(self) -> None:
        """As a fault would. `start` brings it back with the same port and data."""
        self.child.kill()

    def url(self) -> str:
        return f"amqp://{USER}:{self.password}@{LOOPBACK}:{self.port}//"

    def tls_url(self) -> str:
        assert self.certificate is not None
        return f"amqps://{USER}:{self.password}@{LOOPBACK}:{self.tls_port}//?ssl_ca_certs={self.certificate.authority}"

    def _is_ready(self) -> bool:
        """Whether it speaks: it listens before it does."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as opened:
                opened.sendall(b"AMQP\x00\x00\x09\x01")
                return opened.recv(1) == b"\x01"
        except OSError:
            return False
