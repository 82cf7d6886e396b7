"""Celery's options and programs work as documented, and everything ends in time, whatever the broker does.
With real processes.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from project.local.child import Child
from project.local.ports import find_free_port
from project.local.programs import program
from project.local.state import ROOT
from project.local.waiting import wait_until
from tests.nodes.shop_nodes import ValkeyNode, make_broker

pytestmark = [pytest.mark.xdist_group("nodes"), pytest.mark.timeout(180)]

START_S = 60
# The shortest grace period, in project/local/programs.py; Compose gives 75 and 60 s.
GRACE_S = 35
QUIET = ("--without-gossip", "--without-mingle")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[ValkeyNode]:
    node = make_broker(tmp_path / "broker", password="options")
    node.start()
    yield node
    node.thaw()
    node.teardown()


@pytest.fixture
def env(broker: ValkeyNode) -> dict[str, str]:
    return {
        **os.environ,
        "CELERY_BROKER_URL": broker.config()["url"],
        "LOG_LEVEL": "INFO",
        "FLOWER_BASIC_AUTH": "operator:options",
    }


@pytest.fixture
def start(env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def begin(*argv: str) -> Child:
        child = Child("celery", program("celery", "-A", "worker", *argv), tmp_path / "out", cwd=ROOT, env=env)
        children.append(child)
        child.start()
        return child

    yield begin
    for child in children:
        child.kill()


def says(path: Path, words: str) -> bool:
    return path.exists() and words in path.read_text()


def test_worker_writes_to_its_logfile_at_its_level(start: Callable[..., Child], tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    child = start("worker", *QUIET, "--pool", "solo", "-Q", "upkeep", "--logfile", str(log), "-l", "DEBUG")
    assert wait_until(lambda: says(log, "ready."), timeout_s=START_S)
    assert "debug" in log.read_text()
    assert "ready." not in child.log_text()


def test_level_of_the_environment_is_the_default(
    start: Callable[..., Child],
) -> None:
    child = start("worker", *QUIET, "--pool", "solo", "-Q", "upkeep")
    assert wait_until(lambda: "ready." in child.log_text(), timeout_s=START_S)
    assert "debug" not in child.log_text()


def test_beat_writes_to_its_logfile(start: Callable[..., Child], tmp_path: Path) -> None:
    log = tmp_path / "beat.log"
    start("beat", "--pidfile=", "-s", str(tmp_path / "schedule"), "--logfile", str(log), "-l", "DEBUG")
    assert wait_until(lambda: says(log, "beat: Starting"), timeout_s=START_S)


def test_multi_starts_and_stops_workers_with_a_log_each(env: dict[str, str], tmp_path: Path) -> None:
    def multi(*argv: str) -> subprocess.CompletedProcess[str]:
        command = program(
            "celery",
            "multi",
            *argv,
            "-A",
            "worker",
            f"--pidfile={tmp_path}/%n.pid",
            f"--logfile={tmp_path}/%n%I.log",
        )
        return subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=GRACE_S
        )

    assert multi("start", "one", "two", "-Q", "upkeep", "-c", "1", "-l", "INFO", *QUIET).returncode == 0
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    try:
        assert wait_until(lambda: all(says(log, "ready.") for log in logs), timeout_s=START_S)
    finally:
        stopped = multi("stopwait", "one", "two")
    assert stopped.returncode == 0, stopped.stdout
    assert not list(tmp_path.glob("*.pid"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [["--pool", "prefork", "-c", "2"], ["--pool", "threads", "-c", "2"]],
    ids=["processes", "threads"],
)
def test_worker_ends_in_time_while_its_broker_is_frozen(
    start: Callable[..., Child], broker: ValkeyNode, options: Sequence[str]
) -> None:
    child = start("worker", *QUIET, *options, "-E", "-Q", "upkeep")
    assert wait_until(lambda: "ready." in child.log_text(), timeout_s=START_S)
    broker.freeze()
    time.sleep(8)  # by now it is reconnecting
    assert ends_in_time(child)


@pytest.mark.slow
def test_worker_that_never_reached_its_broker_ends_in_time(
    start: Callable[..., Child], broker: ValkeyNode
) -> None:
    broker.freeze()
    child = start("worker", *QUIET, "--pool", "solo", "-Q", "upkeep")
    assert wait_until(lambda: "Cannot connect" in child.log_text(), timeout_s=START_S)
    assert ends_in_time(child)


@pytest.mark.slow
def test_flower_ends_in_time_while_its_broker_is_frozen(
    start: Callable[..., Child], broker: ValkeyNode
) -> None:
    port = find_free_port()
    child = start("flower", "--address=127.0.0.1", f"--port={port}")
    assert wait_until(lambda: "Connected to" in child.log_text(), timeout_s=START_S)
    broker.freeze()
    time.sleep(15)  # its threads are reconnecting by now, and Python waits for them on exit
    assert ends_in_time(child)


def ends_in_time(child: Child) -> bool:
    child.send(child.stop_signal)
    return child.wait(GRACE_S)
