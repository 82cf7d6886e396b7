"""Paces a process's calls to a gateway: within a limit set by operators, and within the gateway's own limit.

The gateway's limit is unknown, may change, and is shared with its other callers. So it is found in the way
TCP finds a link's capacity: additive increase, multiplicative decrease. A rejected call halves the rate,
which then grows back.
"""

import threading
import time
from collections.abc import Callable

Clock = Callable[[], float]

# After a cut, answers to calls that were started before it say nothing about the new rate.
SETTLE_S = 1
# The rate doubles within this many seconds without a rejected call.
DOUBLES_IN_S = 20
# Without a limit set by operators, the pace is unlimited again at this multiple of the rate at which a call
# was rejected.
FORGOTTEN_AT = 4
# At a lower rate even a single buyer would be refused: a call that holds a place waits at most half a second.
SLOWEST_PER_S = 2.0


class Pace:
    """A token bucket: `rate` calls per second on average (None is unlimited), with bursts of up to two
    seconds' worth.
    """

    def __init__(self, rate: float | None = None, *, clock: Clock = time.monotonic) -> None:
        self._bound = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = self._size(rate or 0)
        self._counted_at = clock()
        # When the rate was cut (None without a cut), to which rate, and at which rate a call was rejected.
        self._cut_at: float | None = None
        self._cut_to = self._too_many = 0.0
        self._used = _Used(clock())

    @property
    def rate(self) -> float | None:
        """Calls per second now; None is unlimited."""
        with self._lock:
            return self._rate(self._clock())

    def take(self, *, patience_s: float) -> float | None:
        """Takes a token and returns how many seconds to wait before using it. If that exceeds `patience_s`,
        takes none and returns None.
        """
        with self._lock:
            now = self._clock()
            rate = self._rate(now)
            tokens = (
                self._size(rate or 0)
                if rate is None
                else min(self._size(rate), self._tokens + (now - self._counted_at) * rate)
            )
            self._counted_at, self._tokens = now, tokens
            wait_s = max(0.0, (1 - tokens) / rate) if rate is not None else 0.0
            if wait_s > patience_s:
                return None
            self._tokens -= 1
            self._used.count(now)
            return wait_s

    def slow_down(self) -> float | None:
        """Halves the rate after a rejected call. Returns the new rate, or None if it was cut just before."""
        with self._lock:
            now = self._clock()
            if self._cut_at is not None and now - self._cut_at < SETTLE_S:
                return None
            used, rate = max(SLOWEST_PER_S, self._used.per_s(now)), self._rate(now)
            self._too_many = used if rate is None else min(rate, used)
            self._cut_at, self._cut_to = now, max(SLOWEST_PER_S, self._too_many / 2)
            self._counted_at, self._tokens = now, min(self._tokens, 0.0)
            return self._cut_to

    def _rate(self, now: float) -> float | None:
        if self._cut_at is None:
            return self._bound
        rate = self._cut_to * (1 + (now - self._cut_at) / DOUBLES_IN_S)
        if rate >= (self._bound or FORGOTTEN_AT * self._too_many):
            self._cut_at = None
            return self._bound
        return rate

    @staticmethod
    def _size(rate: float) -> float:
        return max(1.0, 2 * rate)


class _Used:
    """Measures the recent calls per second."""

    def __init__(self, now: float) -> None:
        self._since, self._count, self._before = now, 0, 0.0

    def count(self, now: float) -> None:
        self._turn(now)
        self._count += 1

    def per_s(self, now: float) -> float:
        self._turn(now)
        return max(self._before, float(self._count))

    def _turn(self, now: float) -> None:
        passed_s = now - self._since
        if passed_s >= 1:
            self._since, self._count, self._before = now, 0, self._count / passed_s
