"""The shop's processes as nodes of pytest-celery: a broker, workers, and, in addition to its own kinds, web,
beat and the simulator.
"""

import signal
from collections.abc import Mapping
from pathlib import Path

from celery import Celery
from pytest_celery import CeleryTestBroker, CeleryTestNode, CeleryTestWorker

from project.local.child import Child
from project.local.programs import Program
from project.local.state import ROOT
from project.local.valkey import ValkeyServer
from tests.nodes.containers import ProcessContainer, ValkeyContainer, WorkerContainer


class ValkeyNode(CeleryTestBroker):
    """A broker that can be killed, frozen, emptied and restarted on the same port."""

    container: ValkeyContainer

    def start(self) -> None:
        self.container.start()

    def freeze(self) -> None:
        """Keeps its connections and doesn't answer, like a server on a hanging machine."""
        self.kill("SIGSTOP")

    def thaw(self) -> None:
        self.kill("SIGCONT")

    def lose_everything(self) -> None:
        """Deletes all queues, carts and snapshots, as a restart without persistence would."""
        with self.container.client as client:
            client.flushall()


class WorkerNode(CeleryTestWorker):
    """A Celery worker. `kill("SIGKILL")` kills the pool with it, `kill("SIGTERM")` lets the tasks finish."""

    container: WorkerContainer

    def start(self) -> None:
        self.container.start()

    def get_pool_pids(self) -> list[int]:
        """The pool's processes, to kill one of them alone."""
        import psutil

        return [process.pid for process in psutil.Process(self.container.child.pid).children(recursive=True)]


class ProcessNode(CeleryTestNode):
    """Any other part of the shop."""

    container: ProcessContainer

    def start(self) -> None:
        self.container.start()


def make_child(program: Program, *, env: Mapping[str, str], folder: Path) -> Child:
    """A program's process that logs to a file of its name."""
    return Child(
        name=program.name,
        argv=program.argv,
        env={**env, **program.env},
        cwd=ROOT,
        log_path=folder / f"{program.name}.log",
        stop_signal=signal.SIGTERM,
    )


def make_broker(folder: Path, *, password: str, durable: bool = True) -> ValkeyNode:
    """A broker with the demo's settings: what has been written survives `kill("SIGKILL")` except for the last
    second.
    """
    return ValkeyNode(ValkeyContainer(ValkeyServer(folder, password, durable=durable)))


def make_worker(
    program: Program, *, env: Mapping[str, str], folder: Path, app: Celery | None = None
) -> WorkerNode:
    return WorkerNode(WorkerContainer(make_child(program, env=env, folder=folder)), app)


def make_process(
    program: Program,
    *,
    env: Mapping[str, str],
    folder: Path,
    port: int | None = None,
    prompt: str | None = None,
) -> ProcessNode:
    return ProcessNode(
        ProcessContainer(make_child(program, env=env, folder=folder), port=port, prompt=prompt)
    )
