"""The shop's one way to Valkey (or Redis): text in and out, short time-outs, one key layout."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from shop import redis_address

# A frozen server costs a request this long at most; a refused connection costs a millisecond.
SOCKET_TIMEOUT_S = 0.25

# What a caller has to expect when the server is away, full or failing over.
Unreachable = redis.RedisError
# The server refuses to store more (`maxmemory`, `noeviction`). It still reads, deletes and lets keys expire.
Full = redis.OutOfMemoryError


@cache
def client() -> Any:
    """The process's `redis.Redis`; thread-safe, connects when first used.

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
        # A connection that died while nobody used it is worth a second try; a server that doesn't answer is
        # not.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )


# When this process last had reason to doubt that the server holds what was written to it.
_doubted_at = time.monotonic()


def doubt() -> None:
    """The server was away, as far as this process can tell.

    It may have missed what others tried to remove, or come back with old data.
    """
    global _doubted_at  # noqa: PLW0603 - one for each process
    _doubted_at = time.monotonic()


def believe_if(holds: Callable[[], bool]) -> None:
    """Ends the doubt with which a process starts, if what it finds says that there is none, and no other came
    up meanwhile.
    """
    global _doubted_at  # noqa: PLW0603 - one for each process
    before = _doubted_at
    if holds() and _doubted_at == before:
        _doubted_at = float("-inf")


def has_been_there(seconds: float) -> bool:
    """Whether there was no reason to doubt for so long. A process that has just started can't know."""
    return time.monotonic() - _doubted_at >= seconds


def _connected(connection: Any) -> None:
    """In place of redis-py's own first words on a connection: notes which of them had to be made anew."""
    if getattr(connection, "was_connected", False):
        doubt()
    connection.was_connected = True
    connection.on_connect()


def cart_key(account_id: int) -> str:
    """A hash: course id → JSON of the chosen policy."""
    return f"cart:{account_id}"


# Ids of checkouts that wait for a worker, oldest first.
DUE_CHECKOUTS = "checkout:due"


# A checkout's key is the prefix and its id; those of its result and of its place in the queue end with a
# suffix. Another form of the result needs another suffix: a web process and a worker of different versions
# then never read each other's, and a checkout that was priced by the other version is priced again.
CHECKOUT_PREFIX, RESULT_SUFFIX, QUEUED_SUFFIX = "checkout:", ":priced", ":queued"


def checkout_key(checkout_id: str) -> str:
    """JSON of what a buyer asked to check out."""
    return f"{CHECKOUT_PREFIX}{checkout_id}"


def checkout_result_key(checkout_id: str) -> str:
    """What came of it, compressed; written once."""
    return f"{CHECKOUT_PREFIX}{checkout_id}{RESULT_SUFFIX}"


def queued_key(checkout_id: str) -> str:
    """Set while a queued checkout may still be waiting for its worker, or be under its hands."""
    return f"{CHECKOUT_PREFIX}{checkout_id}{QUEUED_SUFFIX}"


def checkouts_of_key(account_id: int) -> str:
    """A list: the ids of the buyer's checkouts, newest first."""
    return f"checkouts:{account_id}"


def answer_key(order_number: str) -> str:
    """What an order's buyer is answered, or the ticket of somebody who is about to read it."""
    return f"order:answer:{order_number}"


def poller_key(digest: str) -> str:
    """The account of a token that polls, by the token's digest, or that the token has ended."""
    return f"poller:{digest}"


# The numbers of unpaid orders that their buyers are looking at.
WATCHED_ORDERS = "orders:watched"


def day_key(day: str) -> str:
    """What the desk has counted of a day, `20261126`."""
    return f"desk:day:{day}"


def wake_key(task_name: str) -> str:
    """Set while a wake-up of the task is on its way."""
    return f"wake:{task_name}"
