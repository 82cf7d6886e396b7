"""Child processes: none is left behind, and no other process is touched."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from project.local.child import Child, stop_leftover
from project.local.waiting import wait_until

SLEEP = ["/bin/sh", "-c", "echo started; sleep 1000 & wait"]


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    made = Child(
        name="sleeper",
        argv=SLEEP,
        log_path=tmp_path / "log",
        cwd=tmp_path,
        record_path=tmp_path / "record.json",
    )
    made.start()
    assert wait_until(
        lambda: "started" in made.log_text() and bool(psutil.Process(made.pid).children()), timeout_s=20
    )
    yield made
    made.kill()


def test_stop_ends_the_program_and_what_it_started(child: Child) -> None:
    (grandchild,) = psutil.Process(child.pid).children()
    child.stop()
    assert child.exit_status == -signal.SIGTERM
    assert wait_until(lambda: not is_alive(grandchild.pid), timeout_s=10)


def test_stop_kills_a_program_that_does_not_listen(tmp_path: Path) -> None:
    stubborn = Child(
        name="stubborn",
        argv=["/bin/sh", "-c", "trap '' TERM; echo ready; sleep 1000"],
        log_path=tmp_path / "log",
        cwd=tmp_path,
    )
    stubborn.start()
    assert wait_until(lambda: "ready" in stubborn.log_text(), timeout_s=20)
    stubborn.stop(timeout_s=0.3)
    assert stubborn.exit_status == -signal.SIGKILL


def test_resume_adds_to_the_log_and_start_replaces_it(tmp_path: Path) -> None:
    speaker = Child(name="speaker", argv=["/bin/echo", "hello"], log_path=tmp_path / "log", cwd=tmp_path)
    for run in (speaker.start, speaker.resume):
        run()
        assert speaker.wait(20)
    assert speaker.log_text() == "hello\nhello\n"
    speaker.start()
    assert speaker.wait(20)
    assert speaker.log_text() == "hello\n"


def test_a_running_program_is_not_started_twice(child: Child) -> None:
    with pytest.raises(RuntimeError, match="running already"):
        child.start()


def test_leftover_is_stopped_by_its_record(child: Child, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    assert stop_leftover(record)
    assert child.wait(10)
    assert not record.exists()
    assert not stop_leftover(record)


def test_another_program_with_the_recorded_id_is_left_alone(child: Child, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text(
        json.dumps({"pid": child.pid, "created_at": psutil.Process(child.pid).create_time() - 3600})
    )
    assert not stop_leftover(record)
    assert child.is_running()
    assert not record.exists()


@pytest.mark.parametrize("content", ["", "{}", '{"pid": 999999999, "created_at": 1}', "not json"])
def test_a_record_of_nothing_is_removed(tmp_path: Path, content: str) -> None:
    record = tmp_path / "record.json"
    record.write_text(content)
    assert not stop_leftover(record)
    assert not record.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from project.local.child import Child\n"
        f"child = Child(name='sleeper', argv=['/bin/sleep', '1000'], "
        f"log_path=Path({str(tmp_path / 'log')!r}), cwd=Path('/'))\n"
        "child.start(); print(child.pid, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        os.kill(parent.pid, signal.SIGKILL)
    assert wait_until(lambda: not is_alive(pid), timeout_s=10)
