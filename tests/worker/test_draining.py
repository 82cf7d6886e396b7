"""A stopping worker finishes its tasks, leaves the rest to others, and stops quickly. With real processes."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from celery import Celery

from project.local.programs import Program, program
from project.local.waiting import wait_until
from tests.nodes.shop_nodes import ValkeyNode, WorkerNode, make_broker, make_worker

pytestmark = [pytest.mark.xdist_group("nodes")]

PROBE = program(
    "celery",
    "-A",
    "tests.worker.drain_app",
    "worker",
    "-Q",
    "probe",
    "--without-gossip",
    "--without-mingle",
    "-l",
    "INFO",
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[ValkeyNode]:
    node = make_broker(tmp_path / "broker", password="drain")
    node.start()
    yield node
    node.teardown()


@pytest.fixture
def client(broker: ValkeyNode) -> Iterator[Celery]:
    app = Celery("drain_client", set_as_current=False)
    url = broker.config()["url"]
    app.conf.update(
        broker_read_url=url, broker_write_url=url, task_ignore_result=True, task_default_queue="probe"
    )
    yield app
    app.close()


@pytest.fixture
def start_worker(broker: ValkeyNode, tmp_path: Path) -> Iterator[Callable[..., WorkerNode]]:
    nodes: list[WorkerNode] = []

    def start(name: str, *, concurrency: int = 2) -> WorkerNode:
        env = {
            **os.environ,
            "CELERY_BROKER_URL": broker.config()["url"],
            "PROBE_FOLDER": str(tmp_path),
            "ALIVE_FILE": str(tmp_path / f"{name}.alive"),
            "LOG_LEVEL": "INFO",  # the log line of a ready worker
        }
        node = make_worker(
            Program(name, [*PROBE, "-n", f"{name}@%h", "-c", str(concurrency)]), env=env, folder=tmp_path
        )
        nodes.append(node)
        node.start()
        node.ready()
        return node

    yield start
    for node in nodes:
        node.teardown()


def send_all(client: Celery, names: list[str]) -> None:
    with client.connection_for_write() as connection, client.amqp.Producer(connection) as producer:
        for name in names:
            client.send_task("probe.work", args=[name, 0.005], producer=producer)


def runs(folder: Path) -> Counter[str]:
    """How often each task was started."""
    log = folder / "started"
    return Counter(log.read_text().split()) if log.exists() else Counter()


def finished(folder: Path) -> set[str]:
    log = folder / "finished"
    return set(log.read_text().split()) if log.exists() else set()


def test_an_idle_worker_stops_at_once_and_takes_its_sign_of_life_along(
    start_worker: Callable[..., WorkerNode], tmp_path: Path
) -> None:
    worker = start_worker("idle")
    alive = tmp_path / "idle.alive"
    assert alive.exists()
    worker.kill("SIGTERM")
    assert worker.container.child.wait(timeout_s=20)
    assert "stopping after 1." in worker.logs()
    assert worker.container.child.exit_status == 0
    assert not alive.exists()


def test_a_stopping_worker_finishes_its_task_and_takes_no_other(
    start_worker: Callable[..., WorkerNode], client: Celery, tmp_path: Path
) -> None:
    worker = start_worker("busy", concurrency=1)
    client.send_task("probe.work", args=["long", 1.5])
    assert wait_until(lambda: runs(tmp_path)["long"] == 1, timeout_s=20)
    client.send_task("probe.work", args=["next", 0.0])
    worker.kill("SIGTERM")
    assert worker.container.child.wait(timeout_s=20)
    assert worker.container.child.exit_status == 0
    assert finished(tmp_path) == {"long"}

    start_worker("successor")
    assert wait_until(lambda: finished(tmp_path) == {"long", "next"}, timeout_s=20)
    assert runs(tmp_path) == {"long": 1, "next": 1}


def has_finished(folder: Path, *, more_than: int) -> bool:
    return len(finished(folder)) > more_than


@pytest.mark.slow
def test_workers_that_replace_each_other_under_load_run_every_task_once(
    start_worker: Callable[..., WorkerNode], client: Celery, tmp_path: Path
) -> None:
    names: list[str] = []
    worker = start_worker("first")
    for generation in range(3):
        successor = start_worker(f"generation{generation}")
        wanted = len(finished(tmp_path)) + 20
        batch = [f"g{generation}t{number}" for number in range(300)]
        send_all(client, batch)
        names += batch
        assert wait_until(partial(has_finished, tmp_path, more_than=wanted), timeout_s=30)
        worker.kill("SIGTERM")
        # when Celery's own stop goes wrong, it takes 31.7 s
        assert worker.container.child.wait(timeout_s=25)
        worker = successor
    assert wait_until(lambda: len(finished(tmp_path)) == len(names), timeout_s=60)
    assert runs(tmp_path) == Counter(names)


def test_a_second_request_to_stop_goes_straight_to_celery(
    start_worker: Callable[..., WorkerNode], client: Celery, tmp_path: Path
) -> None:
    worker = start_worker("pressed", concurrency=1)
    client.send_task("probe.work", args=["long", 1.5])
    assert wait_until(lambda: runs(tmp_path)["long"] == 1, timeout_s=20)
    worker.kill("SIGTERM")
    worker.assert_log_exists("asked to stop", timeout=10)
    worker.kill("SIGTERM")
    worker.assert_log_exists("Warm shutdown", timeout=2)
    assert worker.container.child.wait(timeout_s=40)
    assert finished(tmp_path) == {"long"}


def test_a_worker_without_its_broker_stops_too(
    start_worker: Callable[..., WorkerNode], broker: ValkeyNode, tmp_path: Path
) -> None:
    worker = start_worker("cut_off")
    broker.kill("SIGKILL")
    worker.assert_log_exists("Connection to broker lost", timeout=30)
    assert wait_until(lambda: not (tmp_path / "cut_off.alive").exists(), timeout_s=10)
    worker.kill("SIGTERM")
    assert worker.container.child.wait(timeout_s=40)
