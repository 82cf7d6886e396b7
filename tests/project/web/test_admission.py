"""Complete requests take a place; whoever sends half a request takes none."""

import itertools
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from django.db import connections
from django.http import FileResponse
from pytest_django import Settings

from project.local.waiting import wait_until
from project.web import admission
from project.web.places import Shares

Environ = dict[str, Any]
SHARES = Shares(seconds=1, burst_s=10, waiting=100, waiting_in_all=1000, patience_s=10)


class Blocking:
    """A body that comes when it is told to."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.come = threading.Event()

    def read(self, size: int) -> bytes:
        self.come.wait(10)
        return self.body[:size]


class Response(list[bytes]):
    streaming = False
    closed = 0

    def close(self) -> None:
        self.closed += 1


def echo(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [])
    return Response([b"read ", environ["wsgi.input"].read()])


def admit(application: Any, *, places: int, shares: Shares = SHARES) -> admission.Admission:
    return admission.Admission(application, places=places, shares=shares)


def call(application: admission.Admission, **environ: Any) -> tuple[str, bytes]:
    """The status and the body of one request."""
    statuses: list[str] = []
    body = b"".join(
        application({"wsgi.input": BytesIO(), **environ}, lambda status, headers: statuses.append(status))
    )
    return statuses[0], body


def beside(application: admission.Admission, **environ: Any) -> tuple[str, bytes]:
    """The same in a thread of its own, as another request comes while one is worked on."""
    answers: list[tuple[str, bytes]] = []
    thread = threading.Thread(target=lambda: answers.append(call(application, **environ)))
    thread.start()
    thread.join(10)
    return answers[0]


def posting(body: Any, length: int) -> Environ:
    return {"wsgi.input": body, "CONTENT_LENGTH": str(length)}


def test_waiting_for_bodies_takes_no_place() -> None:
    application = admit(echo, places=1)
    slow = [Blocking(b"abc") for _ in range(5)]
    answers: list[tuple[str, bytes]] = []
    threads = [
        threading.Thread(target=lambda body=body: answers.append(call(application, **posting(body, 3))))
        for body in slow
    ]
    for thread in threads:
        thread.start()
    assert call(application) == ("200 OK", b"read ")
    assert application.reading() == 5
    for body in slow:
        body.come.set()
    for thread in threads:
        thread.join(10)
    assert answers == [("200 OK", b"read abc")] * 5
    assert application.reading() == 0


def test_half_a_body_reaches_nobody() -> None:
    reached: list[Environ] = []
    application = admit(lambda environ, start: reached.append(environ) or Response(), places=1)  # type: ignore[func-returns-value]
    status, body = call(application, **posting(BytesIO(b"ab"), 3))
    assert (status, json.loads(body)["error"], reached) == ("400 Bad Request", "invalid_input", [])


def test_chunks_are_refused_unread() -> None:
    status, body = call(admit(echo, places=1), HTTP_TRANSFER_ENCODING="chunked")
    assert (status, json.loads(body)["error"]) == ("411 Length Required", "length_required")


def test_a_refusal_without_a_length_waits_while_threads_may_wait(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens the next connection as soon as one is refused would keep the server busy."""
    settings.CONNECTION_LIMITS = {**settings.CONNECTION_LIMITS, "readers": 2}
    monkeypatch.setattr(admission, "REFUSAL_S", 1.0)
    application = admit(echo, places=1)
    refused: list[str] = []
    waiting = [
        threading.Thread(
            target=lambda: refused.append(call(application, HTTP_TRANSFER_ENCODING="chunked")[0])
        )
        for _ in range(2)
    ]
    for thread in waiting:
        thread.start()
    assert wait_until(lambda: application.reading() == 2, timeout_s=10)
    assert call(application, HTTP_TRANSFER_ENCODING="chunked")[0] == "411 Length Required"
    assert (application.reading(), refused) == (2, [])  # the third didn't wait
    for thread in waiting:
        thread.join(10)
    assert (application.reading(), refused) == (0, ["411 Length Required"] * 2)


def test_a_declared_length_over_the_limit_is_left_unread() -> None:
    unread = Blocking(b"")
    application = admit(
        lambda environ, start: Response([str(environ["wsgi.input"] is unread).encode()]), places=1
    )
    assert b"".join(application(posting(unread, 70_000), lambda status, headers: None)) == b"True"


def test_no_place_for_too_long_is_a_503() -> None:
    inner: list[tuple[str, bytes]] = []

    def nested(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        inner.append(call(application))  # while the only place is taken
        return Response()

    application = admit(nested, places=1, shares=replace(SHARES, patience_s=0.05))
    application({}, lambda status, headers: None)
    assert inner[0][0] == "503 Service Unavailable"
    assert json.loads(inner[0][1])["error"] == "service_unavailable"


@pytest.mark.parametrize("at_once", [1, 2])
def test_each_place_has_one_connection_whatever_thread_comes(at_once: int) -> None:
    """One after another they use the same one, whose connection is warm."""
    seen: set[int] = set()
    all_there = threading.Barrier(at_once)

    def note(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        all_there.wait(10)
        seen.add(id(connections["default"]))
        return Response()

    application = admit(note, places=2)
    for _ in range(8):
        threads = [
            threading.Thread(target=application, args=({}, lambda status, headers: None))
            for _ in range(at_once)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert len(seen) == at_once


@pytest.mark.parametrize("failing_look", [1, 2])
def test_a_place_comes_back_after_a_connection_that_cannot_be_closed(
    failing_look: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the request, or after it."""
    application = admit(echo, places=1)
    looks = itertools.count(1)

    def look() -> None:
        if next(looks) == failing_look:
            raise ZeroDivisionError

    (place,) = application.places.all
    monkeypatch.setattr(place.connection, "close_if_unusable_or_obsolete", look)
    with pytest.raises(ZeroDivisionError):
        call(application)
    assert application.longest_s(10**9) == 0
    monkeypatch.undo()
    assert call(application) == ("200 OK", b"read ")


def test_a_place_comes_back_after_a_failure() -> None:
    def fail(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise ZeroDivisionError

    application = admit(fail, places=1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            application({}, lambda status, headers: None)
    assert application.longest_s(10**9) == 0


def test_an_answer_is_ended_once_and_inside_its_place() -> None:
    response = Response([b"a", b"b"])
    assert admit(lambda environ, start: response, places=1)({}, lambda status, headers: None) == [b"ab"]
    assert response.closed == 1


# A few requests are the share, and nothing makes up for what is over it.
STINGY = Shares(seconds=1e-6, burst_s=0.003, waiting=0, waiting_in_all=1000, patience_s=1)


@pytest.mark.parametrize(
    ("trusted", "forwarded", "statuses"),
    [
        # its own word is worth nothing
        ([], ("203.0.113.1", "203.0.113.2"), ["429 Too Many Requests", "429 Too Many Requests"]),
        (["192.0.2.1"], ("203.0.113.1", "203.0.113.2"), ["429 Too Many Requests", "200 OK"]),
        # one household
        (["192.0.2.1"], ("2001:db8::1", "2001:db8::2"), ["429 Too Many Requests", "429 Too Many Requests"]),
    ],
)
def test_shares_are_by_the_address_behind_trusted_proxies(
    trusted: list[str], forwarded: tuple[str, str], statuses: list[str], settings: Settings
) -> None:
    settings.TRUSTED_PROXIES = trusted
    first = forwarded[0]
    inside: list[tuple[str, bytes]] = []

    def nested(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/outer":
            beside(application, REMOTE_ADDR="198.51.100.7", PATH_INFO="/")  # somebody else is there
            inside.extend(
                beside(application, REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=each, PATH_INFO="/")
                for each in forwarded
            )
        start_response("200 OK", [])
        return Response()

    application = admit(nested, places=3, shares=STINGY)
    for _ in range(20):
        assert (
            call(application, REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=first, PATH_INFO="/")[0]
            == "200 OK"
        )
    assert (
        call(application, REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=first, PATH_INFO="/outer")[0]
        == "200 OK"
    )
    assert [status for status, _ in inside] == statuses
    assert json.loads(inside[0][1])["error"] == "too_many_requests"


def test_refusals_count_as_requests(settings: Settings) -> None:
    """Otherwise chunks without end would cost their sender nothing."""
    settings.CONNECTION_LIMITS = {**settings.CONNECTION_LIMITS, "readers": 0}  # none waits for its refusal
    answers: list[str] = []

    def nested(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        answers.append(
            beside(application, REMOTE_ADDR="192.0.2.1", PATH_INFO="/", HTTP_TRANSFER_ENCODING="chunked")[0]
        )
        return Response()

    application = admit(nested, places=3, shares=STINGY)
    for _ in range(20):
        call(application, REMOTE_ADDR="192.0.2.1", PATH_INFO="/", HTTP_TRANSFER_ENCODING="chunked")
    for address in ("198.51.100.7", "192.0.2.1"):
        application(
            {"REMOTE_ADDR": address, "PATH_INFO": "/", "wsgi.input": BytesIO()}, lambda status, headers: None
        )
    assert answers == ["411 Length Required", "429 Too Many Requests"]


def test_a_file_is_sent_in_large_pieces_outside_its_place() -> None:
    answer = FileResponse(BytesIO(b"a" * 200_000))
    application = admit(lambda environ, start: answer, places=1)
    pieces = application({"wsgi.input": BytesIO()}, lambda status, headers: None)
    assert application.longest_s(10**12) == 0
    assert [len(piece) for piece in pieces] == [65_536, 65_536, 65_536, 3_392]
