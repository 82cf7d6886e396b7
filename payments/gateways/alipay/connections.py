"""Keep-alive connections to a gateway, one per concurrent call.

httpx's own pool isn't used: it iterates over all connections under one lock at the start and the end of each
call, which took two fifths of the gateway worker's time with 64 concurrent calls.
"""

import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import httpx

# A server that can be reached accepts a connection within this time.
CONNECT_S = 2
# Servers and middleboxes keep idle connections for longer, so a request rarely uses one that is just being
# closed.
KEEP_IDLE_S = 15


@cache
def _trusted() -> ssl.SSLContext:
    """Made once: reading the system's authorities takes longer than many handshakes."""
    return ssl.create_default_context()


class Connections:
    """Lends each call a client with a connection of its own: the most recently used idle one, or a new one.
    Thread-safe.
    """

    def __init__(self, timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        self._verify = _trusted()
        self._clock = clock
        # Pairs of client and time of last use, least recently used on the left. A deque's operations are
        # atomic.
        self._idle: deque[tuple[httpx.Client, float]] = deque()

    @contextmanager
    def lend(self) -> Iterator[httpx.Client]:
        try:
            client, _ = self._idle.pop()
        except IndexError:
            client = self._make()
        try:
            yield client
        finally:
            self._idle.append((client, self._clock()))
            self._close(unused_for_s=KEEP_IDLE_S)

    def close(self) -> None:
        self._close(unused_for_s=0)

    def _close(self, *, unused_for_s: float) -> None:
        while True:
            try:
                client, used_at = self._idle.popleft()
            except IndexError:
                return
            if self._clock() - used_at < unused_for_s:
                self._idle.appendleft((client, used_at))
                return
            client.close()

    def _make(self) -> httpx.Client:
        return httpx.Client(
            timeout=self._timeout,
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEP_IDLE_S),
            headers={"Accept-Encoding": "identity"},
            verify=self._verify,
            follow_redirects=False,
        )
