"""Triggers the sweep from each worker's own event loop, by elapsed time rather than by a clock.

Every worker asks for it and any free one runs it; a lock in PostgreSQL ensures that only one sweep runs at a
time.
"""

from typing import Any

from celery import bootsteps
from django.conf import settings

from shop.wakeup import wake_soon


class SweepWhileConsuming(bootsteps.StartStopStep):
    """A step of the consumer: asks for a sweep when it connects to the broker, and every SWEEP_INTERVAL_S
    seconds while it is connected.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        sweep = consumer.app.tasks["worker.sweep"]
        wake_soon(sweep)
        self._timer = consumer.timer.call_repeatedly(settings.SWEEP_INTERVAL_S, wake_soon, (sweep,))

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
