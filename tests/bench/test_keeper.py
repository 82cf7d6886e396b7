"""Programs that are held still end with whoever holds them, even if that is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from bench.keeper import Keeper
from project.local.state import ROOT
from project.local.waiting import wait_until

HOLDER = """
import os, signal, sys
from bench.keeper import Keeper
group = int(sys.argv[1])
with Keeper() as keeper:
    keeper.hold([group])
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


def test_what_is_held_wakes_when_its_holder_is_killed(sleeper: "subprocess.Popen[bytes]") -> None:
    command = [sys.executable, "-c", HOLDER, str(sleeper.pid)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert wait_until(lambda: is_stopped(sleeper.pid), timeout_s=5)
        sleeper.terminate()
        holder.kill()
    assert sleeper.wait(10) == -signal.SIGTERM


def test_what_was_let_go_is_left_alone(sleeper: "subprocess.Popen[bytes]") -> None:
    with Keeper() as keeper:
        keeper.hold([sleeper.pid])
        keeper.let_go([sleeper.pid])
        os.killpg(sleeper.pid, signal.SIGSTOP)
        assert wait_until(lambda: is_stopped(sleeper.pid), timeout_s=5)
    assert is_stopped(sleeper.pid)
