"""Works around a defect in kombu's Redis transport: a worker exits if its broker goes away while a task is
running.

A channel that has lost its connection still tries to return unacknowledged messages, and later to acknowledge
the task that has ended meanwhile. It asks the connection for the broker's address, but that has been torn
down, so kombu raises AttributeError, which Celery doesn't recognise as a lost broker. Here the channel
remembers the address. While the broker is down it gets a connection error, which Celery survives; once the
broker is back, the acknowledgement arrives.
"""

from typing import Any

import kombu
import redis
from kombu.transport.redis import Channel

# The versions of kombu that are known to need this. `tests/worker/test_lost_broker.py` fails with any other.
NEEDED_BY = frozenset({"5.7.0"})

original_connparams = Channel._connparams


def guard_channels() -> None:
    """Lets channels outlive their connection. Call it before the worker connects. Idempotent."""
    if kombu.__version__ in NEEDED_BY:
        Channel._connparams = connparams  # type: ignore[method-assign] # that is what a guard does


def connparams(channel: Channel, asynchronous: bool = False) -> dict[str, Any]:
    """Replaces `Channel._connparams`: the connection parameters, remembered while there was a connection.

    Raises:
        redis.ConnectionError: the channel never had one.
    """
    known: dict[bool, dict[str, Any]] = channel.__dict__.setdefault("_known_connparams", {})
    if getattr(channel.connection, "client", None) is not None:
        known[asynchronous] = original_connparams(channel, asynchronous)
    if asynchronous not in known:
        raise redis.ConnectionError("the channel has no connection to the broker any more")
    return dict(known[asynchronous])
