"""A program as a child process: own session, output in a log file, stopped politely or killed with all that
it started.

A child dies with its parent. On Linux the kernel sees to that; elsewhere, and after a power cut of the
terminal, the record file tells the next start which process to stop.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import psutil

from project.local import interrupts
from project.local.waiting import wait_until

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
DEFAULT_STOP_S = 20.0
# A killed process is gone as soon as the kernel gets to it; one that isn't hangs in the kernel, and nobody
# can wait for that.
KILL_S = 5.0
WAIT_POLL_S = 0.02


@dataclass(frozen=True)
class User:
    """Who a program runs as, when that is not whoever starts it."""

    name: str
    uid: int
    gid: int


@dataclass
class Child:
    """One program. `start` may be called again after it has ended."""

    name: str
    argv: Sequence[str]
    log_path: Path
    cwd: Path
    env: Mapping[str, str] | None = None
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    record_path: Path | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    def start(self) -> None:
        """Starts the program; its output replaces the log of the last run."""
        self.log_path.touch(mode=0o600)
        self.log_path.write_bytes(b"")
        self.resume()

    def resume(self) -> None:
        """Starts the program; its output is added to the log."""
        if self.is_running():
            raise RuntimeError(f"{self.name} is running already")
        identity: dict[str, Any] = {}
        if self.user is not None:
            identity = {"user": self.user.uid, "group": self.user.gid, "extra_groups": []}
        with self.log_path.open("ab") as log, interrupts.deferred():
            self._process = subprocess.Popen(
                list(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env=None if self.env is None else dict(self.env),
                start_new_session=True,
                umask=0o077,  # queues, carts and the simulator's keys are nobody else's
                # One system call, prepared before the fork.
                preexec_fn=_die_with_parent(self.stop_signal),  # noqa: PLW1509
                **identity,
            )
        if self.record_path is not None:
            _write_record(self.record_path, self._process.pid)

    @property
    def pid(self) -> int:
        """The process id of the current or last run."""
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """The exit status (negative: the signal); None while it runs and before it was started."""
        if self._process is None:
            return None
        with interrupts.deferred():
            return self._process.poll()

    def is_running(self) -> bool:
        return self._process is not None and self.exit_status is None

    def send(self, signum: int) -> None:
        """Signals the program itself and not what it started. Does nothing when it has ended."""
        if self._process is not None:
            with interrupts.deferred():
                self._process.send_signal(signum)

    def wait(self, timeout_s: float) -> bool:
        """Whether the program has ended within the time."""
        return wait_until(lambda: not self.is_running(), timeout_s=timeout_s, poll_s=WAIT_POLL_S)

    def stop(self, timeout_s: float = DEFAULT_STOP_S) -> None:
        """Asks the program to end, and kills it if it hasn't in time. Nothing of it is left behind."""
        if self._process is None:
            return
        self.send(self.stop_signal)
        self.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """Kills the program and everything in its session, at once."""
        if self._process is None:
            return
        _kill_group(self._process.pid)
        self.wait(KILL_S)
        if self.record_path is not None:
            self.record_path.unlink(missing_ok=True)

    def log_text(self) -> str:
        """All that the program has said since `start`."""
        try:
            return self.log_path.read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the log, indented, for an error message."""
        return "\n".join(f"    {line}" for line in self.log_text().splitlines()[-lines:])


def stop_leftover(
    record_path: Path, *, stop_signal: signal.Signals = signal.SIGTERM, timeout_s: float = DEFAULT_STOP_S
) -> bool:
    """Stops what a run that was killed has left behind. False when there was nothing.

    A record tells a process by its id and its time of birth: another program that has been given the same id
    since is left alone.
    """
    try:
        record = json.loads(record_path.read_text())
        process = psutil.Process(int(record["pid"]))
        is_same = abs(process.create_time() - float(record["created_at"])) < 1
        found = is_same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except (FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
        found = False
    if found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(stop_signal)
            with contextlib.suppress(psutil.TimeoutExpired):
                process.wait(timeout_s)
        _kill_group(process.pid)
    record_path.unlink(missing_ok=True)
    return found


@contextlib.contextmanager
def held(groups: Sequence[int]) -> Iterator[None]:
    """Stops process groups for the block.

    They go on when it is left, and also when this process is killed: a shell in a session of its own sees to
    that. The system asks them to end then, but a stopped program doesn't hear it.
    """
    script = 'kill -s STOP -- "$@"; echo; read -r _; kill -s CONT -- "$@"'
    command = ["sh", "-c", script, "sh", *(f"-{group}" for group in groups)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True) as shell:
        assert shell.stdout is not None
        try:
            shell.stdout.readline()
            yield
        finally:
            shell.communicate()


def _write_record(path: Path, pid: int) -> None:
    # gone already: the caller will see it from the exit status
    with contextlib.suppress(psutil.NoSuchProcess):
        path.write_text(json.dumps({"pid": pid, "created_at": psutil.Process(pid).create_time()}))


def _kill_group(group: int) -> None:
    # macOS answers the latter for a group of zombies
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _die_with_parent(signum: int) -> Callable[[], None] | None:
    """Runs in the child before it becomes the program: asks the kernel for a signal when the parent dies.

    The kernel goes by the parent's thread. A child started from another thread than the main one would die
    with that thread, so it is spared.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)

    return ask_kernel
