"""The limits on a process's gateway calls: a circuit breaker, a bulkhead (how many calls at once) and a rate
limit.

Each process detects by itself that a gateway is silent. Sharing that would save a few calls, but every call
would then have to consult a store first.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from payments.gateways.pace import Pace
from payments.gateways.protocol import GatewayShut
from payments.metrics import GATEWAY_BREAKER_OPEN, GATEWAY_LIMITED

log = structlog.get_logger(__name__)

# This many calls in a row without an answer are no coincidence.
OPENS_AFTER = 5
# How long an open breaker refuses calls before it lets a probe through.
REST_S = 3
# How long a caller waits for a place. A longer wait would itself block the workers that the bulkhead
# protects.
PLACE_WAIT_MS = 500
# How long a caller waits for the rate if it doesn't occupy a place meanwhile.
RATE_WAIT_S = 5

Clock = Callable[[], float]


class Breaker:
    """A circuit breaker: opens after several silences in a row, then lets one probe through at a time until
    one is answered.

    No library fits: pybreaker holds a lock during the call, which serialises calls; circuitbreaker lets all
    calls through at once after the pause. And code that claims work has to know beforehand how many calls it
    may start (`free`).
    """

    def __init__(
        self, *, opens_after: int = OPENS_AFTER, rest_s: float = REST_S, clock: Clock = time.monotonic
    ) -> None:
        self._opens_after, self._rest_s, self._clock = opens_after, rest_s, clock
        self._lock = threading.Lock()
        self._silences = 0
        self._next_probe_at: float | None = None  # None while it is closed

    @property
    def is_open(self) -> bool:
        return self._next_probe_at is not None

    def free(self, wanted: int) -> int:
        """How many of `wanted` calls may be started now: all, none, or one probe."""
        with self._lock:
            if self._next_probe_at is None:
                return wanted
            return min(wanted, 1) if self._clock() >= self._next_probe_at else 0

    def enter(self) -> None:
        """Admits one call: always while the breaker is closed, one probe per `rest_s` while it is open.

        Raises:
            GatewayShut: it is open, and no probe is due.
        """
        with self._lock:
            if self._next_probe_at is None:
                return
            now = self._clock()
            if now < self._next_probe_at:
                raise GatewayShut("the gateway is silent; the circuit breaker is open")
            # If the probe never returns, another one is let through at that time.
            self._next_probe_at = now + self._rest_s

    def answered(self) -> None:
        """Notes that a call was answered; closes the breaker."""
        with self._lock:
            was_open, self._silences, self._next_probe_at = self._next_probe_at is not None, 0, None
        if was_open:
            GATEWAY_BREAKER_OPEN.set(0)
            log.warning("gateway_answers_again")

    def stayed_silent(self) -> None:
        """Notes a call without an answer; opens the breaker after `opens_after` of them in a row."""
        with self._lock:
            self._silences += 1
            if self._silences < self._opens_after:
                return
            was_closed, self._next_probe_at = self._next_probe_at is None, self._clock() + self._rest_s
        if was_closed:
            GATEWAY_BREAKER_OPEN.set(1)
            log.error("gateway_is_silent", silences=self._silences, alert=True)


class CallLimits:
    """The limits on this process's calls to a gateway.

    `places` bounds the concurrent calls and `rate` the calls per second; None is no bound.
    """

    def __init__(
        self,
        *,
        places: int | None = None,
        rate: float | None = None,
        breaker: Breaker | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.breaker = breaker or Breaker()
        self._places = threading.BoundedSemaphore(places) if places else None
        self._patience_s = PLACE_WAIT_MS / 1000 if places else RATE_WAIT_S
        self._pace = pace or Pace(rate)

    def free(self, wanted: int) -> int:
        """How many of `wanted` calls may be started now; under a rate, at most two seconds' worth."""
        rate = self._pace.rate
        if rate is not None:
            wanted = min(wanted, max(1, int(2 * rate)))
        return self.breaker.free(wanted)

    @contextmanager
    def call(self, *, silences: tuple[type[BaseException], ...]) -> Iterator[None]:
        """Wraps one call. `silences` are the exceptions which mean that nobody answered.

        Raises:
            GatewayShut: no call can be made now.
        """
        if self._places is not None and not self._places.acquire(timeout=PLACE_WAIT_MS / 1000):
            raise GatewayShut("all places for calls are taken")
        try:
            self.breaker.enter()
            self._wait_for_the_rate()
            with self._heard(silences):
                yield
        finally:
            if self._places is not None:
                self._places.release()

    def limited(self) -> None:
        """Notes that the gateway rejected a call because there were too many."""
        GATEWAY_LIMITED.inc()
        rate = self._pace.slow_down()
        if rate is not None:
            log.warning("gateway_limits_calls", calls_per_s=round(rate, 1))

    def _wait_for_the_rate(self) -> None:
        wait_s = self._pace.take(patience_s=self._patience_s)
        if wait_s is None:
            raise GatewayShut("more calls wait than the gateway takes")
        if wait_s:  # even sleep(0) would yield the processor
            time.sleep(wait_s)

    @contextmanager
    def _heard(self, silences: tuple[type[BaseException], ...]) -> Iterator[None]:
        try:
            yield
        except silences:
            self.breaker.stayed_silent()
            raise
        except Exception:
            self.breaker.answered()
            raise
        self.breaker.answered()
