"""A liveness file (`ALIVE_FILE`) for workers and beat: a health check only has to look at its age.

A worker touches it while it consumes, and removes it when the broker is unreachable. Beat touches it every
few seconds, after it has asked PostgreSQL what is due.
"""

from pathlib import Path
from typing import Any

from celery import bootsteps
from django.conf import settings

INTERVAL_S = 5.0


class TouchWhileConsuming(bootsteps.StartStopStep):
    """A step of the consumer: started when the consumer is connected, stopped when it isn't."""

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
