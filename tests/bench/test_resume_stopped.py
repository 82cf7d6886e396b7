"""Stopped programs end with the process that stopped them, even if that is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from bench.resume_stopped import ResumeStopped
from project.local.state import ROOT
from project.local.waiting import wait_until

HOLDER = """
import os, signal, sys
from bench.resume_stopped import ResumeStopped
group = int(sys.argv[1])
with ResumeStopped() as resumer:
    resumer.stopping([group])
    os.killpg(group, signal.SIGSTOP)
    print("held", flush=True)
    sys.stdin.readline()
"""


def is_stopped(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


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
    with ResumeStopped() as resumer:
        resumer.stopping([sleeper.pid])
        resumer.resumed([sleeper.pid])
        os.killpg(sleeper.pid, signal.SIGSTOP)
        assert wait_until(lambda: is_stopped(sleeper.pid), timeout_s=5)
    assert is_stopped(sleeper.pid)
