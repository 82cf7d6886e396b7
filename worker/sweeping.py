"""What makes a worker sweep: its own event loop, which goes by the time that passes and not by anybody's
clock.

Every worker asks, and whoever is free does it; one at a time, since there is a lock in PostgreSQL for that.
"""

from typing import Any

from celery import bootsteps
from django.conf import settings

from shop.wakeup import wake_soon


class SweepWhileConsuming(bootsteps.StartStopStep):
    """Part of the consumer: asks for a sweep when it is connected to the broker, and every SWEEP_INTERVAL_S
    while it is.
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
