"""Graceful shutdown: on SIGTERM a worker stops consuming, lets its tasks finish, and only then lets Celery
stop.

Celery's own warm shutdown is slow under load: a child waits half a minute for its parent to read a result
that the parent doesn't read any more, and the task runs twice. When no task is running it takes a second.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from celery.worker import state

from worker.ending import EndInTime

TICK_S = 0.2
# A message may still arrive: a blocking read is answered for up to a second after consuming has stopped.
SETTLE_S = 1.2
# Longer than every task's hard limit except the audit's, which only reads. After it Celery's own shutdown
# takes over, and `ending.py` bounds that.
PATIENCE_S = 50.0

logger = logging.getLogger(__name__)


class DrainOnTerm(bootsteps.StartStopStep):
    """A step of the consumer, so that it runs in the event loop.

    A second SIGTERM, or one while the broker is down, is left to Celery.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._stop_celery: Callable[..., Any] | None = None
        self._timer: Any = None
        self._is_asked = False
        self._is_told = False
        self._drained_since: float | None = None
        self._ending = EndInTime(consumer)

    def start(self, consumer: Any) -> None:
        """Called at the start and after each reconnect to the broker."""
        self._timer = consumer.timer.call_repeatedly(TICK_S, self._look, (consumer,))
        is_first = self._stop_celery is None
        if is_first and threading.current_thread() is threading.main_thread():
            current = signal.getsignal(signal.SIGTERM)
            if callable(current):
                self._stop_celery = current
                signal.signal(signal.SIGTERM, self._ask)

    def stop(self, consumer: Any) -> None:
        """Called when the connection is lost or the worker stops."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_asked:
            self._tell()

    def _ask(self, signum: int, frame: Any) -> None:
        if not self._is_asked:
            self._ending.begin()
        if self._is_asked or self._timer is None:
            self._tell()
        self._is_asked = True

    def _look(self, consumer: Any) -> None:
        self._ending.tick()
        if not self._is_asked or self._is_told:
            return
        if self._drained_since is None:
            logger.info("asked to stop: taking no more tasks, %d to finish", len(state.reserved_requests))
            for queue in list(consumer.app.amqp.queues.consume_from):
                consumer.cancel_task_queue(queue)
            self._drained_since = time.monotonic()
        waited_s = time.monotonic() - self._drained_since
        if (waited_s >= SETTLE_S and not state.reserved_requests) or waited_s >= PATIENCE_S:
            logger.info("stopping after %.1f s with %d tasks left", waited_s, len(state.reserved_requests))
            self._tell()

    def _tell(self) -> None:
        if self._stop_celery is not None and not self._is_told:
            self._is_told = True
            self._stop_celery(signal.SIGTERM, None)
