"""How soon a worker that has lost its broker reconnects."""

from functools import partial
from typing import Any

from celery.worker import consumer

# Celery's own pauses grow by two seconds each, up to half a minute: after an outage of a minute its workers
# would return a quarter of a minute late.
PAUSE_S = 2


class Consumer(consumer.Consumer):
    """Celery's consumer, reconnecting within seconds of the broker's return."""

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=1, interval_step=1, interval_max=PAUSE_S
        )
        return super().ensure_connected(conn)
