"""Counts calls per second."""

import threading
import time
from collections.abc import Callable


class CallCounter:
    """The number of calls in the current second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._second, self._count = 0, 0

    def is_within(self, per_second: float) -> bool:
        """Counts a call; returns whether it is among the first `per_second` calls of the current second."""
        with self._lock:
            second = int(self._clock())
            self._count = self._count + 1 if second == self._second else 1
            self._second = second
            return self._count <= per_second
