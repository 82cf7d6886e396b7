"""How often a process calls a gateway: within a bound that operators set, and within what the gateway itself
takes.

The gateway's own limit isn't known, may change, and is shared with whatever else calls it. So it is found as
TCP finds what a line takes:
additive increase, multiplicative decrease. A call that was one too many halves the rate; then it grows back.
"""

import threading
import time
from collections.abc import Callable

Clock = Callable[[], float]

# Answers to calls that were begun before the rate was cut say nothing about the new rate.
SETTLE_S = 1
# The rate has doubled after so many seconds without a call too many.
DOUBLES_IN_S = 20
# Without a bound of our own there is none again at so many times the rate at which a call was too many.
FORGOTTEN_AT = 4
# Slower, a buyer who is alone would be turned away: a call that holds a place waits half a second for its
# turn.
SLOWEST_PER_S = 2.0


class Pace:
    """A token bucket: `rate` calls a second on average (None: as many as come), and as many at once as two
    seconds' worth.
    """

    def __init__(self, rate: float | None = None, *, clock: Clock = time.monotonic) -> None:
        self._bound = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = self._size(rate or 0)
        self._counted_at = clock()
        # Since when the rate is cut, to what, and at which rate a call was too many. No cut: None.
        self._cut_at: float | None = None
        self._cut_to = self._too_many = 0.0
        self._used = _Used(clock())

    @property
    def rate(self) -> float | None:
        """Calls a second now; None without a bound."""
        with self._lock:
            return self._rate(self._clock())

    def take(self, *, patience_s: float) -> float | None:
        """Takes a token, and returns how many seconds to wait before using it; None, and no token, if that
        were more than `patience_s`.
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
        """A call was one too many: half of what was asked goes on.

        Returns the new rate, or None if it was cut just before.
        """
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
    """How many calls there were in a second, lately."""

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
