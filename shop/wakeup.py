"""Telling a worker that there is something to do. A hint, never the truth: it may be lost, late or doubled.

What has to be done is a row that is committed already; the sweep finds it if this message doesn't arrive.
"""

import structlog
from celery import Task
from kombu.exceptions import KombuError, OperationalError

from shop import valkey

log = structlog.get_logger(__name__)

# How long one wake-up speaks for all that follow it. If its message is lost, the next request after this sends another.
COALESCE_MS = 1000


def wake(task: Task) -> None:
    """Sends `task` without arguments, unless a message for it is already on its way. Never raises; takes well under a second.

    Call it after the commit. `woken` is its other half.
    """
    try:
        if not valkey.client().set(valkey.wake_key(task.name), "1", nx=True, px=COALESCE_MS):
            return
    except valkey.Unreachable as error:
        log.warning("wake_flag_unreachable", task=task.name, error=str(error))
    _send(task)


def woken(task: Task) -> None:
    """The task has started: whatever is committed from now on needs a wake-up of its own. Call it before claiming."""
    try:
        valkey.client().delete(valkey.wake_key(task.name))
    except valkey.Unreachable as error:
        log.warning("wake_flag_unreachable", task=task.name, error=str(error))


def _send(task: Task) -> None:
    """A broker that is away costs a short, bounded attempt."""
    try:
        task.apply_async()
    except (OperationalError, KombuError, OSError, valkey.Unreachable) as error:
        log.warning("wake_up_not_sent", task=task.name, error=str(error))
