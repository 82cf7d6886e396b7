"""Kept-alive connections to a gateway, one for each call that is under way.

Not httpx's own pool: it goes through all its connections under one lock at the beginning and at the end of
each call, which with 64 calls under way took two fifths of the gateway worker's time.
"""

import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import httpx

# A server is there within this, or it isn't there.
CONNECT_S = 2
# Shorter than servers and the middleboxes before them keep an idle connection, so that a request rarely meets
# one that is just being closed.
KEEP_IDLE_S = 15


@cache
def _trusted() -> ssl.SSLContext:
    """Made once: reading the system's authorities takes longer than many handshakes."""
    return ssl.create_default_context()


class Connections:
    """Lends each call a client with a connection of its own: the one that was used last, or a new one.

    Threads may share it.
    """

    def __init__(self, timeout_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        self._verify = _trusted()
        self._clock = clock
        # The least recently used on the left, each with when that was. A deque's own operations are atomic.
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
