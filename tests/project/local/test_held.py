"""Programs can be paused, and are resumed when the process that paused them ends, even if it is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from project.local.child import held
from project.local.state import ROOT
from project.local.waiting import wait_until

HOLDER = """
import sys
from project.local.child import held
with held([int(sys.argv[1])]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def is_stopped(pid: int) -> bool:
    return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def test_program_is_stopped_for_the_block(sleeper: "subprocess.Popen[bytes]") -> None:
    with held([sleeper.pid]):
        assert wait_until(lambda: is_stopped(sleeper.pid), timeout_s=5)
    assert wait_until(lambda: not is_stopped(sleeper.pid), timeout_s=5)


def test_stopped_program_is_resumed_when_its_holder_is_killed(sleeper: "subprocess.Popen[bytes]") -> None:
    command = [sys.executable, "-c", HOLDER, str(sleeper.pid)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert wait_until(lambda: is_stopped(sleeper.pid), timeout_s=5)
        sleeper.terminate()
        holder.kill()
    assert sleeper.wait(10) == -signal.SIGTERM


def test_resumed_program_is_left_alone(sleeper: "subprocess.Popen[bytes]") -> None:
    with held([sleeper.pid]):
        pass
    os.killpg(sleeper.pid, signal.SIGSTOP)
    assert wait_until(lambda: is_stopped(sleeper.pid), timeout_s=5)
    assert is_stopped(sleeper.pid)


def test_a_program_that_has_ended_meanwhile_does_no_harm(sleeper: "subprocess.Popen[bytes]") -> None:
    gone = subprocess.Popen(["true"], start_new_session=True)
    gone.wait()
    with held([gone.pid, sleeper.pid]):
        assert wait_until(lambda: is_stopped(sleeper.pid), timeout_s=5)
    assert wait_until(lambda: not is_stopped(sleeper.pid), timeout_s=5)
