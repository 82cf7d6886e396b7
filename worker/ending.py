"""An end in time: a worker that was asked to stop ends, also when its event loop hangs in a broker that
answers nothing.

kombu reconnects for as long as it takes, and where it does so in the middle of sending an event nobody can
tell it to stop. A thread of its own sees that the loop has stood still since the worker was asked, and ends
the process. Nothing is lost by that: what was under way is a row that is claimed again, and messages that
weren't acknowledged come again.
"""

import logging
import os
import signal
import threading
import time
from typing import Any

import click
from celery.worker import state

# A command that is over leaves the process this time for its threads to end.
LEAVING_S = 5.0
# The loop ticks five times a second. One that stands still for this long after the worker was asked isn't
# just busy.
STILL_S = 10.0
# Tasks that may still run in the pool, of which a loop that stands still knows nothing, have this long. Less
# than anybody's grace (35 s in project/local/programs.py), and as long as the limit of nearly all tasks.
WORKING_S = 30.0

logger = logging.getLogger(__name__)


def end_with_the_command() -> None:
    """Sees to it that the process ends soon after the command of `celery` that it runs, whatever its threads
    hang in.

    Flower's threads ask workers by way of the broker, and Python waits for them at its end. Call it while the
    command line is read.
    """
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(lambda: threading.Thread(target=_leave, name="leave", daemon=True).start())


def _leave() -> None:
    time.sleep(LEAVING_S)
    os._exit(0)


class EndInTime:
    """Watches one consumer's loop from the moment it was asked to stop."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._ticked_at = time.monotonic()

    def tick(self) -> None:
        """The loop is alive."""
        self._ticked_at = time.monotonic()

    def begin(self) -> None:
        """Called where the worker is asked to stop, in a signal's handler: once."""
        self._ticked_at = time.monotonic()
        threading.Thread(target=self._watch, name="end-in-time", daemon=True).start()

    def _watch(self) -> None:
        while time.monotonic() - self._ticked_at < self._patience_s():
            time.sleep(0.2)
        logger.warning("the event loop hangs, most likely in a broker that doesn't answer: ending without it")
        for pid in self._pool_pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os._exit(0)

    @staticmethod
    def _patience_s() -> float:
        return WORKING_S if state.active_requests else STILL_S

    def _pool_pids(self) -> list[int]:
        """The children of a pool of processes; none of another pool."""
        pool = getattr(self._consumer.pool, "_pool", None)
        return [child.pid for child in getattr(pool, "_pool", ()) if child.pid]
