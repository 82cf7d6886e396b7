"""Holding a poller's request until its order changes."""

import threading
import time
from collections.abc import Callable

from django.conf import settings

from shop.domain.versions import Answer

# Looks quickly at first (an order is usually created within 10 ms), then calmly.
_FIRST_LOOK_S = 0.01
_LAST_LOOK_S = 0.25

_places = threading.BoundedSemaphore(settings.ORDER_STATUS_WAITERS)


def wait_for_change(look: Callable[[], Answer | None], *, since: Answer, seconds: float) -> Answer:
    """What `look` finds as soon as its status or version is no longer that of `since`, or after `seconds`, or `since` at once when too many
    wait already.

    Each look is a statement of its own, if that: nothing is held in the database meanwhile.
    """
    if not _places.acquire(blocking=False):
        return since
    try:
        seen = since
        deadline = time.monotonic() + seconds
        pause = _FIRST_LOOK_S
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            seen = look() or seen
            if (seen.status, seen.version) != (since.status, since.version):
                break
            pause = min(pause * 1.5, _LAST_LOOK_S)
        return seen
    finally:
        _places.release()
