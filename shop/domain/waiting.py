"""Holding a poller's request until its order changes."""

import threading
import time

from django.conf import settings

from shop.domain.versions import read_version

# Looks quickly at first (an order is usually created within 10 ms), then calmly.
_FIRST_LOOK_S = 0.01
_LAST_LOOK_S = 0.25

_places = threading.BoundedSemaphore(settings.ORDER_STATUS_WAITERS)


def wait_for_change(*, account_id: int, order_number: str, since: tuple[str, int], seconds: float) -> tuple[str, int]:
    """The order's (status, version) as soon as it is no longer `since`, or after `seconds`, or at once when too many wait already.

    Each look is a statement of its own: nothing is held in the database meanwhile.
    """
    if not _places.acquire(blocking=False):
        return since
    try:
        deadline = time.monotonic() + seconds
        pause = _FIRST_LOOK_S
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(min(pause, left))
            version = read_version(account_id=account_id, order_number=order_number)
            if version is not None and version != since:
                return version
            pause = min(pause * 1.5, _LAST_LOOK_S)
        return since
    finally:
        _places.release()
