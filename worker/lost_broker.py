"""A gap in kombu's Redis transport that ends a worker whose broker goes away while it has a task under way.

A channel that has lost its connection still wants to give unacknowledged messages back, and later to
acknowledge the task that has ended meanwhile. It asks the connection for the broker's address, but that has
been taken apart, so kombu raises AttributeError, which Celery doesn't take for a lost broker: the worker
exits. Here the channel remembers the address. While the broker is away it gets the error of a refused
connection, which Celery survives; once it is back the acknowledgement arrives.
"""

from typing import Any

import kombu
import redis
from kombu.transport.redis import Channel

# The versions that were seen to need this. `tests/worker/test_lost_broker.py` fails when another one is
# installed.
NEEDED_BY = frozenset({"5.7.0"})

original_connparams = Channel._connparams


def guard_channels() -> None:
    """Lets channels outlive their connection. Call it before the worker connects; twice is once."""
    if kombu.__version__ in NEEDED_BY:
        Channel._connparams = connparams  # type: ignore[method-assign] # that is what a guard does


def connparams(channel: Channel, asynchronous: bool = False) -> dict[str, Any]:
    """In place of `Channel._connparams`: how to connect, as it was while there was a connection.

    Raises:
        redis.ConnectionError: the channel never had one.
    """
    known: dict[bool, dict[str, Any]] = channel.__dict__.setdefault("_known_connparams", {})
    if getattr(channel.connection, "client", None) is not None:
        known[asynchronous] = original_connparams(channel, asynchronous)
    if asynchronous not in known:
        raise redis.ConnectionError("the channel has no connection to the broker any more")
    return dict(known[asynchronous])
