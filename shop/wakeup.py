"""Wakes workers when there is something to do. A wake-up is only a hint: it may be lost, late or duplicated.

The work itself is a committed row, which the sweep finds if the message doesn't arrive.
"""

import atexit
import os
import threading
import time

import structlog
from celery import Task
from kombu.exceptions import KombuError, OperationalError

from shop import valkey

log = structlog.get_logger(__name__)

# How long one wake-up suppresses others of the same task. If its message is lost, the next request after that
# sends another.
COALESCE_MS = 1000
# How long an ending process waits for wake-ups that it hasn't sent yet.
SETTLE_S = 2
# The minimum interval between two wake-ups from a process, since the round trip to Valkey costs a fifth of a
# request. The first one doesn't wait, and under light load none does.
PAUSE_S = 0.01


def wake_soon(task: Task) -> None:
    """Has another thread `wake` the task, so a slow or dead broker never blocks a request. Call it after the
    commit.

    Requests that come in while the thread is busy or pausing share its next wake-up.
    """
    _bell.ring(task)


def settle(timeout_s: int = SETTLE_S) -> bool:
    """Waits up to `timeout_s` seconds for pending wake-ups; True if all were sent."""
    return _bell.settle(timeout_s)


def wake(task: Task) -> None:
    """Sends `task` without arguments, unless a message for it is already in flight. Call it after the commit.

    Never raises, and takes well under a second. `woken` is its counterpart in the task.
    """
    try:
        if not valkey.client().set(valkey.wake_key(task.name), "1", nx=True, px=COALESCE_MS):
            return
    except valkey.Unreachable as error:
        log.warning("wake_flag_unreachable", task=task.name, error=str(error))
    _send(task)


def woken(task: Task) -> None:
    """Notes that the task has started: whatever is committed from now on needs a new wake-up.

    Call it before claiming.
    """
    try:
        valkey.client().delete(valkey.wake_key(task.name))
    except valkey.Unreachable as error:
        log.warning("wake_flag_unreachable", task=task.name, error=str(error))


def _send(task: Task) -> None:
    """Makes one attempt, which is short and bounded even if the broker is down."""
    try:
        task.apply_async()
    except (OperationalError, KombuError, OSError, valkey.Unreachable) as error:
        log.warning("wake_up_not_sent", task=task.name, error=str(error))


class _Bell:
    """The thread behind `wake_soon`, started on first use."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: dict[str, Task] = {}
        self._is_busy = False
        self._thread: threading.Thread | None = None

    def ring(self, task: Task) -> None:
        with self._changed:
            self._due[task.name] = task
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wakeup", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def settle(self, timeout_s: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: not self._due and not self._is_busy, timeout_s)

    def _run(self) -> None:
        while True:
            for task in self._take():
                try:
                    wake(task)
                except Exception:
                    log.exception("wake_up_failed", task=task.name)
            self._finish()
            time.sleep(PAUSE_S)

    def _take(self) -> list[Task]:
        """Waits until something is due, and takes all of it."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._due))
            due, self._due = list(self._due.values()), {}
            self._is_busy = True
        return due

    def _finish(self) -> None:
        with self._changed:
            self._is_busy = False
            self._changed.notify_all()


_bell = _Bell()


def _begin_anew() -> None:
    """Called in a forked child, which has none of its parent's threads."""
    global _bell  # noqa: PLW0603 - one for each process
    _bell = _Bell()


os.register_at_fork(after_in_child=_begin_anew)
atexit.register(settle)
