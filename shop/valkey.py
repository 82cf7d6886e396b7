"""The shop's client for Valkey (or Redis): text in and out, short timeouts, and the layout of keys."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from shop import redis_address

# The longest that a frozen server delays a request; a refused connection takes a millisecond.
SOCKET_TIMEOUT_S = 0.25

# Raised when the server is down, full or failing over.
Unreachable = redis.RedisError
# The server is full (`maxmemory`, `noeviction`). It still reads, deletes and expires keys.
Full = redis.OutOfMemoryError


@cache
def client() -> Any:
    """The process's `redis.Redis`; thread-safe, connects on first use.

    Untyped, since redis-py's types don't know `decode_responses`.
    """
    return redis_address.open_client(
        redis_address.parse(settings.REDIS_URL),
        decode_responses=True,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=SOCKET_TIMEOUT_S,
        socket_keepalive=True,
        health_check_interval=30,
        redis_connect_func=_connected,
        # Retry once if an idle connection has died, but not if the server doesn't answer.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


# When this process last noticed an outage. A new process starts with one, since it can't know about the time
# before.
_outage_at = time.monotonic()


def note_outage() -> None:
    """Notes an outage: the server may have missed deletions by others since, or may return with old data."""
    global _outage_at  # noqa: PLW0603 - one for each process
    _outage_at = time.monotonic()


def clear_outage_if(holds: Callable[[], bool]) -> None:
    """Clears the outage that a process starts with if `holds()` is true, unless a new one was noted
    meanwhile.
    """
    global _outage_at  # noqa: PLW0603 - one for each process
    before = _outage_at
    if holds() and _outage_at == before:
        _outage_at = float("-inf")


def has_been_up(seconds: float) -> bool:
    """Whether no outage was noted in the last `seconds`. False in a process that has just started."""
    return time.monotonic() - _outage_at >= seconds


def _connected(connection: Any) -> None:
    """Replaces redis-py's handler for a new connection; a reconnect counts as an outage."""
    if getattr(connection, "was_connected", False):
        note_outage()
    connection.was_connected = True
    connection.on_connect()


def cart_key(account_id: int) -> str:
    """The key of a hash: course id → JSON of the chosen policy."""
    return f"cart:{account_id}"


# The ids of checkouts that wait for a worker, oldest first.
DUE_CHECKOUTS = "checkout:due"


# A checkout's key is the prefix and its id; the keys of its result and of its place in the queue add a
# suffix. A new format of the result needs a new suffix: then a web process and a worker of different versions
# never read each other's results, and a checkout priced by the other version is priced again.
CHECKOUT_PREFIX, RESULT_SUFFIX, QUEUED_SUFFIX = "checkout:", ":priced", ":queued"


def checkout_key(checkout_id: str) -> str:
    """The key of a checkout's request, as JSON."""
    return f"{CHECKOUT_PREFIX}{checkout_id}"


def checkout_result_key(checkout_id: str) -> str:
    """The key of a checkout's result, compressed; written once."""
    return f"{CHECKOUT_PREFIX}{checkout_id}{RESULT_SUFFIX}"


def queued_key(checkout_id: str) -> str:
    """The key of a flag that is set while a checkout may still be waiting for a worker or be in progress."""
    return f"{CHECKOUT_PREFIX}{checkout_id}{QUEUED_SUFFIX}"


def checkouts_of_key(account_id: int) -> str:
    """The key of a list: the ids of the buyer's checkouts, newest first."""
    return f"checkouts:{account_id}"


def answer_key(order_number: str) -> str:
    """The key of an order's cached answer, or of the lease token of a reader that is about to query it."""
    return f"order:answer:{order_number}"


def poller_key(digest: str) -> str:
    """The key of a polling token, by its digest: the account's id, or a mark that the token is no longer
    valid.
    """
    return f"poller:{digest}"


# The numbers of unpaid orders that their buyers are watching.
WATCHED_ORDERS = "orders:watched"


def hour_key(hour: str) -> str:
    """The key of the dashboard's figures for an hour such as `2026112613`."""
    return f"desk:hour:{hour}"


def wake_key(task_name: str) -> str:
    """The key of a flag that is set while a wake-up of the task is in flight."""
    return f"wake:{task_name}"
