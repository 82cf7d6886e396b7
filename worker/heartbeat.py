"""Heartbeats between a worker and RabbitMQ, so that a connection that leads nowhere any more is noticed by
both.
"""

from typing import Any

from celery import bootsteps

# Two that are missing end the connection, so it is replaced within about eight seconds, and RabbitMQ gives
# what it had sent there to another worker a little later. Both sides send them, so each costs a packet.
# Shorter would end connections of workers that are merely busy.
HEARTBEAT_S = 4


class NoticeHalfOpen(bootsteps.StartStopStep):
    """Part of the consumer, whose event loop is the only thing that sends heartbeats.

    Without effect with Redis, which knows none.
    """

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        if consumer.hub is not None:
            consumer.amqheartbeat = HEARTBEAT_S
