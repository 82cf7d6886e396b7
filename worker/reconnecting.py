"""How often a worker that has lost its broker tries again."""

from functools import partial
from typing import Any

from celery.worker import consumer

# Celery's own pauses grow by two seconds each, to half a minute: a broker that was away for a minute would
# wait a quarter of one for its workers.
PAUSE_S = 2


class Consumer(consumer.Consumer):
    """Celery's, back at work within seconds of the broker's return."""

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=1, interval_step=1, interval_max=PAUSE_S
        )
        return super().ensure_connected(conn)
