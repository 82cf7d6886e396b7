"""Bounds the shutdown: a worker that was asked to stop ends even if its event loop hangs on an unresponsive
broker.

kombu reconnects without limit, and can't be interrupted while it does so in the middle of sending an event. A
separate thread notices that the loop hasn't moved since the worker was asked to stop, and ends the process.
Nothing is lost by that: work in progress is a row that will be claimed again, and unacknowledged messages are
redelivered.
"""

import logging
import os
import signal
import threading
import time
from typing import Any

import click
from celery.worker import state

# How long the threads of a finished command may take to end.
LEAVING_S = 5.0
# The loop ticks five times a second. If it hasn't for this long after the request to stop, it isn't just
# busy.
STILL_S = 10.0
# How long tasks that may still run in the pool have, of which a hanging loop knows nothing. Less than any
# supervisor waits (35 s in project/local/programs.py), and equal to the time limit of nearly all tasks.
WORKING_S = 30.0

logger = logging.getLogger(__name__)


def end_with_the_command() -> None:
    """Makes the process end soon after its `celery` command, whatever its threads are waiting for.

    Flower's threads query workers through the broker, and Python joins them at exit. Call it while the
    command line is parsed.
    """
    context = click.get_current_context(silent=True)
    if context is not None:
        context.call_on_close(lambda: threading.Thread(target=_leave, name="leave", daemon=True).start())


def _leave() -> None:
    time.sleep(LEAVING_S)
    os._exit(0)


class EndInTime:
    """Watches a consumer's event loop from the moment the worker is asked to stop."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._ticked_at = time.monotonic()

    def tick(self) -> None:
        """Notes that the loop is alive."""
        self._ticked_at = time.monotonic()

    def begin(self) -> None:
        """Starts watching. Called once, in the signal handler that asks the worker to stop."""
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
        """The children of a process pool; none for other pools."""
        pool = getattr(self._consumer.pool, "_pool", None)
        return [child.pid for child in getattr(pool, "_pool", ()) if child.pid]
