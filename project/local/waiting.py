"""Waiting for a condition, with a deadline: never a fixed sleep."""

import time
from collections.abc import Callable

POLL_S = 0.05


def wait_until(condition: Callable[[], bool], *, timeout_s: float, poll_s: float = POLL_S) -> bool:
    """Asks again and again until the condition holds. False when it did not within the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_s)
    return True
