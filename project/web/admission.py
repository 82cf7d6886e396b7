"""Admits complete requests to Django, a few at a time.

A server thread that waits for a client's bytes occupies none of the few places in which requests run: the
body is read first, and only then does the request take a place (`places.py`). Each place owns a database
connection, so there are as many connections as places, however many threads the server uses. `connections.py`
ends waits that take too long.
"""

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.cache import close_caches
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connections, reset_queries
from structlog.contextvars import bind_contextvars, reset_contextvars

from project.api.errors import body_of, headers_of
from project.web.counted import BEGAN_AT
from project.web.places import Places, Shares
from shop import errors
from shop.api.wire import written
from shop.client_address import client_network, forwarded_address
from shop.request_id import KEY, identify

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

# The liveness probe must be answered even while all places wait for the database, which it doesn't need.
LIVENESS = "/healthz"
LIVENESS_PATIENCE_S = 0.3
# Requested by our own machines, from addresses that no visitor has.
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
# Each block costs a turn of the interpreter. Django's blocks have 4 kB; with these a page's largest script is
# sent in 25 instead of 388.
FILE_BLOCK_BYTES = 64 * 1024
# A file is sent after its place was given back, so its cost is charged in advance. Measured: 1 to 3 ms for
# the largest one.
FILE_COST_S = 0.002
# How long a client without a Content-Length is kept waiting for its refusal.
REFUSAL_S = 0.5
_PHRASES = {400: "Bad Request", 411: "Length Required", 429: "Too Many Requests", 503: "Service Unavailable"}


def look_after_connections() -> None:
    """Keeps Django from checking database connections when a request starts and when it ends.

    Admission checks the one connection that a request uses. Django would check all of the thread's
    connections three times, and would clean up caches and the list of statements, which only a process with
    DEBUG keeps: a tenth of an ordinary poll.
    """
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    request_started.disconnect(reset_queries)
    request_finished.disconnect(close_caches)


class Admission:
    """A WSGI application around Django's."""

    def __init__(self, application: Application, *, places: int, shares: Shares) -> None:
        self._application = application
        self.places = Places(places, shares)
        self._reading: dict[int, float] = {}
        self._address = lru_cache(maxsize=4096)(client_of)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Binds the request's id and its client's address to every log line: Django writes some outside of
        all middleware.
        """
        address = self._address(environ.get("REMOTE_ADDR", ""), environ.get("HTTP_X_FORWARDED_FOR", ""))
        bound = bind_contextvars(request_id=identify(environ), address=address)
        try:
            return self._admit(environ, start_response, address)
        finally:
            reset_contextvars(**bound)

    def _admit(self, environ: Environ, start_response: StartResponse, address: str) -> Iterable[bytes]:
        refusal = self._read_body(environ)
        environ[BEGAN_AT] = time.monotonic()
        path = environ.get("PATH_INFO")
        patience_s = LIVENESS_PATIENCE_S if path == LIVENESS else None
        try:
            place = self.places.take(address, is_visit=path not in PROBES, patience_s=patience_s)
        except errors.DomainError as error:
            if path == LIVENESS and isinstance(error, errors.ServiceUnavailable):
                return self._application(environ, start_response)
            return _refuse(error, environ, start_response)
        connection = connections["default"] = place.connection
        cost_s = 0.0
        try:
            connection.close_if_unusable_or_obsolete()
            if refusal is not None:  # only now, so that refusals count and wait like everything else
                return _refuse(refusal, environ, start_response)
            response = self._application(environ, start_response)
            if getattr(response, "streaming", False):
                cost_s = FILE_COST_S
                response.block_size = FILE_BLOCK_BYTES  # type: ignore[attr-defined]  # Django reads it for each piece
                return response
            try:
                return [b"".join(response)]
            finally:
                response.close()  # type: ignore[attr-defined]  # Django's responses have it; it ends the request
        finally:
            # A file that is streamed later must not use the connection, which is another request's by then.
            del connections["default"]
            try:
                connection.close_if_unusable_or_obsolete()
            finally:
                self.places.give_back(place, cost_s=cost_s)

    def reading(self) -> int:
        """How many threads are waiting for a body."""
        return len(self._reading)

    def longest_s(self, now: float) -> float:
        """How long the oldest request has been running."""
        return self.places.longest_s(now)

    def _read_body(self, environ: Environ) -> errors.DomainError | None:
        """Replaces the body's stream by the whole body; returns what is wrong with the body, None if nothing
        is.

        A body with a declared length over the limit isn't read: Django refuses it by its length, and the
        server ends the connection.
        """
        if "HTTP_TRANSFER_ENCODING" in environ:
            self._keep_waiting(environ)
            return errors.LengthRequired()
        declared = int(environ.get("CONTENT_LENGTH") or 0)
        if not 0 < declared <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return None
        me = id(environ)
        self._reading[me] = time.monotonic()
        try:
            body = environ["wsgi.input"].read(declared)
        except OSError:  # the client is gone
            body = b""
        finally:
            del self._reading[me]
        environ["wsgi.input"] = BytesIO(body)
        return (
            None
            if len(body) == declared
            else errors.InvalidInput(reason="the body is shorter than its Content-Length")
        )

    def _keep_waiting(self, environ: Environ) -> None:
        """Delays a refusal: it ends the connection, and a client that opens another one at once would cost
        more than all buyers together.

        There is no delay if too many threads are waiting for bodies already.
        """
        if len(self._reading) >= settings.CONNECTION_LIMITS["readers"]:
            return
        me = id(environ)
        self._reading[me] = time.monotonic()
        time.sleep(REFUSAL_S)
        del self._reading[me]


def client_of(sender: str, forwarded: str) -> str:
    """What a request is counted by: its client's address, behind trusted proxies the forwarded one."""
    return client_network(forwarded_address(sender, forwarded))


def _refuse(error: errors.DomainError, environ: Environ, start_response: StartResponse) -> list[bytes]:
    body = written(body_of(error))
    headers = [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    headers.append(("X-Request-ID", environ[KEY]))
    start_response(f"{error.status} {_PHRASES[error.status]}", [*headers, *headers_of(error).items()])
    return [body]
