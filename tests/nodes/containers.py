"""Local processes behind pytest-celery's interface of a container: the same tests would run on Docker."""

import signal
from typing import Any

import redis
from pytest_celery import CeleryTestContainer
from pytest_docker_tools import exceptions

from project.local.child import Child
from project.local.ports import is_listening
from project.local.programs import ALL_QUEUES
from project.local.valkey import ValkeyServer
from project.local.waiting import wait_until

READY_TIMEOUT_S = 60


class ProcessContainer(CeleryTestContainer):
    """A program in its own session.

    `kill("SIGKILL")` also kills everything that it has started, as in a container.
    """

    def __init__(self, child: Child, *, port: int | None = None, prompt: str | None = None) -> None:
        # Deliberately without super().__init__(): there is no Docker object to wrap.
        self.child = child
        self.port = port
        self._prompt = prompt
        self._log_start = 0

    @property
    def id(self) -> str:
        return f"{self.child.name}-{self.child.pid}"

    @property
    def name(self) -> str:
        return self.child.name

    @property
    def status(self) -> str:
        return "running" if self.child.is_running() else "exited"

    @property
    def ready_prompt(self) -> str | None:
        return self._prompt

    def start(self) -> None:
        """Starts the process for the first time."""
        self._log_start = 0
        self.child.start()

    def logs(self) -> str:
        return self.child.log_text()

    def logs_since_start(self) -> str:
        """The current run's log: an earlier run's prompt doesn't make this one ready."""
        return self.child.log_path.read_bytes()[self._log_start :].decode(errors="replace")

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """With SIGKILL everything has ended when this returns. Other signals go to the program alone, which
        may take its time.
        """
        signum = to_signal(signal)
        if signum == SIGKILL:
            self.child.kill()
        else:
            self.child.send(signum)

    def reload(self) -> None:
        """Nothing to reload: the state is read from the process itself."""

    def restart(self, timeout: float = 10) -> None:
        """Stops the process, gracefully at first, and starts it again; its log is continued."""
        self.child.send(signal.SIGCONT)  # it may have been frozen
        self.child.stop(timeout)
        self._log_start = self.child.log_path.stat().st_size
        self.child.resume()

    def ready(self) -> bool:
        """Waits until the program has logged its prompt and listens on its port.

        Raises: pytest_docker_tools' ContainerFailed when it ends before that, or TimeoutError.
        """
        if not wait_until(lambda: not self.child.is_running() or self._is_ready(), timeout_s=READY_TIMEOUT_S):
            raise exceptions.TimeoutError(
                f"{self.name} is not ready after {READY_TIMEOUT_S} s:\n{self.child.log_tail(40)}"
            )
        if not self.child.is_running():
            raise exceptions.ContainerFailed(
                self, f"{self.name} has ended ({self.child.exit_status}):\n{self.child.log_tail(40)}"
            )
        return True

    def teardown(self) -> None:
        self.child.kill()

    def _is_ready(self) -> bool:
        prompted = self._prompt is None or self._prompt in self.logs_since_start()
        return prompted and (self.port is None or is_listening(self.port))


class ValkeyContainer(ProcessContainer):
    """A Valkey server with its own port and folder, which it keeps through a restart."""

    def __init__(self, server: ValkeyServer) -> None:
        super().__init__(server.child)
        self.server = server

    @property
    def celeryconfig(self) -> dict[str, Any]:
        url = self.server.url()
        return {"url": url, "host_url": url, "hostname": "127.0.0.1", "port": self.server.port, "vhost": "0"}

    @property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.server.url(), decode_responses=True)

    def start(self) -> None:
        self.server.start()

    def restart(self, timeout: float = 10) -> None:
        self.child.send(signal.SIGCONT)
        self.child.stop(timeout)
        self.server.start()

    def _is_ready(self) -> bool:
        return self.server.is_ready()


class WorkerContainer(ProcessContainer):
    """A Celery worker with its pool."""

    def __init__(self, child: Child) -> None:
        super().__init__(child, prompt=" ready.")

    @classmethod
    def version(cls) -> str:
        import celery

        return str(celery.__version__)

    @classmethod
    def log_level(cls) -> str:
        return "INFO"

    def worker_name(self) -> str:
        return self.child.name

    @classmethod
    def worker_queue(cls) -> str:
        return ALL_QUEUES


SIGKILL = signal.SIGKILL


def to_signal(name: str | int) -> signal.Signals:
    """`9`, `"KILL"` and `"SIGKILL"` are the same."""
    if isinstance(name, int):
        return signal.Signals(name)
    return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
