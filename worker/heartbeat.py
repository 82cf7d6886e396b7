"""Heartbeats between a worker and RabbitMQ, so that both sides notice a dead connection."""

from typing import Any

from celery import bootsteps

# Two missing heartbeats end the connection, so it is replaced within about eight seconds, and soon after that
# RabbitMQ redelivers its messages to another worker. A shorter interval would end connections of workers that
# are merely busy.
HEARTBEAT_S = 4


class NoticeHalfOpen(bootsteps.StartStopStep):
    """A step of the consumer, whose event loop is the only sender of heartbeats. No effect with Redis."""

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        if consumer.hub is not None:
            consumer.amqheartbeat = HEARTBEAT_S
