"""Nodes are real processes: killing kills, restarting restarts, and logs are found."""

import os
from pathlib import Path

import psutil
import pytest
from pytest_celery import CeleryTestSetup

from project.local.waiting import wait_until
from tests.nodes.shop_nodes import ValkeyNode, WorkerNode

pytestmark = [pytest.mark.xdist_group("nodes")]


def send(setup: CeleryTestSetup, name: str, seconds: float = 0) -> None:
    setup.app.send_task("probe.mark", args=[name, seconds], queue="probe")


def assert_appears(path: Path, timeout_s: float = 30) -> None:
    assert wait_until(path.exists, timeout_s=timeout_s), f"{path.name} was not written in {timeout_s} s"


def test_worker_runs_a_task(celery_setup: CeleryTestSetup, tmp_path: Path) -> None:
    assert len(celery_setup) == 2
    send(celery_setup, "first")
    assert_appears(tmp_path / "first.done")
    celery_setup.worker.wait_for_log("probe.mark")
    celery_setup.worker.assert_log_exists("succeeded")
    celery_setup.worker.assert_log_does_not_exist("no such words")


def test_killed_worker_leaves_no_process_and_its_task_runs_again(
    celery_setup: CeleryTestSetup, tmp_path: Path
) -> None:
    worker: WorkerNode = celery_setup.worker
    send(celery_setup, "long", 4)
    assert_appears(tmp_path / "long.started")
    pool = worker.get_pool_pids()
    assert len(pool) >= 2

    worker.kill("SIGKILL")
    assert worker.container.status == "exited"
    assert wait_until(lambda: not any(is_alive(pid) for pid in pool), timeout_s=10)
    assert not (tmp_path / "long.done").exists()

    worker.restart()
    worker.ready()
    assert_appears(tmp_path / "long.done", timeout_s=40)
    assert worker.logs().count(" ready.") == 2
    assert worker.container.logs_since_start().count(" ready.") == 1


def test_terminated_worker_finishes_its_task(celery_setup: CeleryTestSetup, tmp_path: Path) -> None:
    worker: WorkerNode = celery_setup.worker
    send(celery_setup, "last", 2)
    assert_appears(tmp_path / "last.started")
    worker.kill("SIGTERM")
    assert worker.container.child.wait(timeout_s=60)
    assert (tmp_path / "last.done").exists()


def test_killed_broker_comes_back_on_its_port_with_its_data(celery_broker: ValkeyNode) -> None:
    port = celery_broker.container.server.port
    with celery_broker.container.client as client:
        client.config_set("appendfsync", "always")  # by default the last second may be lost
        client.set("kept", "still")
    celery_broker.kill()
    assert celery_broker.container.status == "exited"
    celery_broker.restart()
    assert celery_broker.ready()
    with celery_broker.container.client as client:
        assert client.get("kept") == "still"
    assert celery_broker.container.server.port == port


def test_worker_survives_a_broker_restart(celery_setup: CeleryTestSetup, tmp_path: Path) -> None:
    celery_setup.broker.kill("SIGKILL")
    celery_setup.worker.assert_log_exists("Connection to broker lost", timeout=30)
    celery_setup.broker.restart()
    send(celery_setup, "after")
    assert_appears(tmp_path / "after.done", timeout_s=60)


def test_frozen_broker_does_not_answer_until_it_is_thawed(celery_broker: ValkeyNode) -> None:
    celery_broker.freeze()
    assert not celery_broker.container.server.is_ready()
    celery_broker.thaw()
    assert wait_until(celery_broker.container.server.is_ready, timeout_s=10)


def test_ready_reports_why_a_process_ended(tmp_path: Path) -> None:
    from pytest_docker_tools.exceptions import ContainerFailed

    from project.local.programs import Program
    from tests.nodes.shop_nodes import make_process

    node = make_process(
        Program("broken", ["/bin/sh", "-c", "echo no such luck; exit 3"]),
        env=dict(os.environ),
        folder=tmp_path,
        prompt="up",
    )
    node.start()
    with pytest.raises(ContainerFailed, match=r"\(3\):\n.*no such luck"):
        node.ready()


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
