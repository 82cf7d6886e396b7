"""A Sentinel beside our own Valkey servers: watches a primary and promotes a replica when it is gone."""

from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from project.local.child import Child
from project.local.errors import LocalError
from project.local.ports import LOOPBACK, find_free_port
from project.local.valkey import ValkeyServer, find_valkey_binary
from project.local.waiting import wait_until

START_TIMEOUT_S = 30
CONFIG = """\
bind {host}
port {port}
dir .
daemonize no
sentinel monitor {name} {host} {primary} {quorum}
sentinel auth-pass {name} {password}
sentinel down-after-milliseconds {name} {silence_ms}
sentinel failover-timeout {name} 5000
sentinel parallel-syncs {name} 1
"""


def replica_settings(primary: ValkeyServer) -> list[str]:
    """For the `settings` of a server that follows the primary, and may be followed."""
    return [
        f"replicaof {LOOPBACK} {primary.port}",
        f"primaryauth {primary.password}",
        "repl-diskless-sync-delay 0",
    ]


@dataclass
class SentinelServer:
    """One of them. `quorum` of them must agree that the primary is gone."""

    folder: Path
    name: str
    primary: ValkeyServer
    quorum: int = 1
    silence_ms: int = 1000
    port: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = [str(find_valkey_binary()), "sentinel.conf", "--sentinel"]
        self.child = Child(name="sentinel", argv=argv, cwd=self.folder, log_path=self.folder / "sentinel.log")

    def start(self, *, replicas: int = 1) -> None:
        """Returns when it knows the primary and so many replicas.

        Raises: LocalError when it doesn't come up, with the end of its log.
        """
        self.port = self.port or find_free_port()
        path = self.folder / "sentinel.conf"
        path.touch(mode=0o600)
        path.write_text(
            CONFIG.format(
                host=LOOPBACK,
                port=self.port,
                name=self.name,
                primary=self.primary.port,
                quorum=self.quorum,
                password=self.primary.password,
                silence_ms=self.silence_ms,
            )
        )
        self.child.start()
        if not wait_until(lambda: self._count_replicas() >= replicas, timeout_s=START_TIMEOUT_S):
            raise LocalError(
                f"The Sentinel did not find {replicas} replica(s). The end of "
                f"{self.child.log_path}:\n{self.child.log_tail()}"
            )

    def stop(self) -> None:
        self.child.stop(5)

    def primary_port(self) -> int:
        """Of the server that is the primary now."""
        with self._client() as client:
            return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)[1])

    def _count_replicas(self) -> int:
        try:
            with self._client() as client:
                return len(client.execute_command("SENTINEL", "REPLICAS", self.name))
        except redis.RedisError:
            return 0

    def _client(self) -> redis.Redis:
        return redis.Redis(
            host=LOOPBACK,
            port=self.port,
            socket_timeout=2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),
        )
