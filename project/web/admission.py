"""Lets complete requests into Django, a few at a time.

A thread of the server that waits for a client's bytes is not one of the few places in which requests are worked on: the body is read first, and
only then does the request take a place. Each place owns a database connection, so there are as many connections as places, whatever number of
threads the server uses. `connections.py` ends the waits that take too long.
"""

import json
import time
from collections.abc import Callable, Iterable
from io import BytesIO
from queue import Empty, SimpleQueue
from typing import Any

from django.conf import settings
from django.db import connections

from project.api.errors import body_of
from shop import errors

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

# Longer than any answer takes; whoever waits for a place that long would not wait for the answer.
PLACE_WAIT_S = 10.0
# What needs no database: whether the process lives must be answered while all places wait for one.
PLACELESS = frozenset({"/healthz"})
_PHRASES = {400: "Bad Request", 411: "Length Required", 503: "Service Unavailable"}


class Place:
    """Room for one request, with the database connection that it uses."""

    __slots__ = ("connection", "taken_at")

    def __init__(self) -> None:
        self.connection = connections.create_connection("default")
        self.connection.inc_thread_sharing()  # one thread after another uses it, never two at a time
        self.taken_at: float | None = None


class Admission:
    """A WSGI application around Django's."""

    def __init__(self, application: Application, *, places: int) -> None:
        self._application = application
        self.places = [Place() for _ in range(places)]
        self._free: SimpleQueue[Place] = SimpleQueue()
        for place in self.places:
            self._free.put(place)
        self._reading: dict[int, float] = {}

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in PLACELESS:
            return self._application(environ, start_response)
        refusal = self._read_body(environ)
        if refusal is not None:
            return _refuse(refusal, start_response)
        try:
            place = self._free.get(timeout=PLACE_WAIT_S)
        except Empty:
            return _refuse(errors.ServiceUnavailable(), start_response)
        place.taken_at = time.monotonic()
        connections["default"] = place.connection
        try:
            response = self._application(environ, start_response)
            if getattr(response, "streaming", False):
                return response
            try:
                return [b"".join(response)]
            finally:
                response.close()  # type: ignore[attr-defined]  # Django's responses have it; it ends the request
        finally:
            # What streams a file later must not find the connection, which is another request's by then.
            del connections["default"]
            place.taken_at = None
            self._free.put(place)

    def reading(self) -> int:
        """How many threads wait for a body."""
        return len(self._reading)

    def waiting(self, since: float) -> list[Place]:
        """The places of requests that have been worked on since then."""
        return [place for place in self.places if place.taken_at is not None and place.taken_at <= since]

    def longest_s(self, now: float) -> float:
        """How long the oldest request has been worked on."""
        taken = [place.taken_at for place in self.places if place.taken_at is not None]
        return max((now - taken_at for taken_at in taken), default=0.0)

    def _read_body(self, environ: Environ) -> errors.DomainError | None:
        """Replaces the body's stream by the whole body; what is wrong with it, if anything.

        A declared length over the limit is left alone: Django refuses it without reading, and the server ends the connection.
        """
        if "HTTP_TRANSFER_ENCODING" in environ:
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
        return None if len(body) == declared else errors.InvalidInput(reason="the body is shorter than its Content-Length")


def _refuse(error: errors.DomainError, start_response: StartResponse) -> list[bytes]:
    body = json.dumps(body_of(error), ensure_ascii=False).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
    start_response(f"{error.status} {_PHRASES[error.status]}", [*headers, ("Retry-After", "2")] if error.status == 503 else headers)
    return [body]
