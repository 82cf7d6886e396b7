"""Says by the age of a file whether a worker or beat does its job, so that a health check costs nothing
(`ALIVE_FILE`).

A worker touches it while it consumes; when the broker is away it doesn't, and the file goes. Beat touches it
when it has asked PostgreSQL what is due, every few seconds.
"""

from pathlib import Path
from typing import Any

from celery import bootsteps
from django.conf import settings

INTERVAL_S = 5.0


class TouchWhileConsuming(bootsteps.StartStopStep):
    """Part of the consumer: started when it is connected, stopped when it isn't."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self.enabled = bool(settings.ALIVE_FILE)
        self._timer: Any = None

    def start(self, consumer: Any) -> None:
        touch()
        self._timer = consumer.timer.call_repeatedly(INTERVAL_S, touch)

    def stop(self, consumer: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        Path(settings.ALIVE_FILE).unlink(missing_ok=True)


def touch() -> None:
    Path(settings.ALIVE_FILE).touch()
