"""Slow and stalling clients.

Each kind opens as many connections as asked for and reopens those that the server ends.
"""

import contextlib
import multiprocessing
import os
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from project.local.waiting import wait_until

Address = tuple[str, int]
HOST = b"Host: 127.0.0.1\r\n"
TICK_S = 0.05


@dataclass(frozen=True)
class Attack:
    """A connection's first bytes, what it drips afterwards, and whether it reads."""

    opening: bytes = b""
    drip: bytes = b""
    drip_every_s: float = 1.0
    reads: bool = True
    receive_buffer: int | None = None
    reopens: bool = False  # at once, again and again: a handshake per request


def head(path: bytes = b"/", method: bytes = b"GET", *fields: bytes) -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\n" + HOST + b"".join(field + b"\r\n" for field in fields)


H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
# HPACK, by the static table: POST /api/v1/auth/login/ over http with an authority and a Content-Length.
# END_HEADERS without END_STREAM.
_H2_FIELDS = b"\x83\x44\x13/api/v1/auth/login/\x86\x41\x09127.0.0.1\x5c\x0210"


def _h2_stream(number: int) -> bytes:
    return len(_H2_FIELDS).to_bytes(3, "big") + b"\x01\x04" + number.to_bytes(4, "big") + _H2_FIELDS


ORDERS = b"/api/v1/orders/"
ATTACKS: dict[str, Attack] = {
    "no bytes at all": Attack(),
    "no body": Attack(head(b"/", b"GET", b"Content-Length: 10") + b"\r\n"),
    "no body of a form": Attack(
        head(b"/api/v1/payments/alipay/notify/", b"POST", b"Content-Length: 900") + b"\r\n"
    ),
    "head dripped": Attack(b"GET / HTTP/1.1\r\nX-A: ", b"a", 0.5),
    "body dripped": Attack(head(ORDERS, b"POST", b"Content-Length: 60000") + b"\r\n{", b" ", 0.5),
    "chunks without end": Attack(
        head(ORDERS, b"POST", b"Transfer-Encoding: chunked") + b"\r\n", b"1\r\n \r\n", 0.5
    ),
    "expect": Attack(head(ORDERS, b"POST", b"Content-Length: 900", b"Expect: 100-continue") + b"\r\n"),
    "head over 64 kB": Attack(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 60_000, b"a" * 1000, 0.5),
    "many fields": Attack(
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(90)), b"X: 1\r\n", 0.5
    ),
    "answers unread": Attack(
        head(b"/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js") + b"\r\n",
        reads=False,
        receive_buffer=4096,
    ),
    "pipelined": Attack((head(b"/healthz") + b"\r\n") * 50, reads=False, receive_buffer=4096),
    "idle after an answer": Attack(head(b"/healthz") + b"\r\n"),
    "HTTP/2 without data": Attack(H2_PREFACE + b"".join(_h2_stream(2 * number + 1) for number in range(16))),
}
HANDSHAKES = Attack(head(b"/healthz", b"GET", b"Connection: close") + b"\r\n", reopens=True)


@dataclass(frozen=True)
class Progress:
    """What crowds in another process have done since all their connections were opened."""

    since: float
    opened: Any  # a number that both processes see
    opened_before: int

    def per_s(self) -> float:
        """Connections opened again, a second."""
        opened = int(self.opened.value) - self.opened_before
        return opened / (time.monotonic() - self.since)


@contextlib.contextmanager
def crowd_apart(*crowds: "Crowd", nice: int) -> Iterator[Progress]:
    """Runs crowds in a session of its own with a priority: attackers have machines of their own, whose time
    isn't the shop's.

    Returns once all of their connections were opened, or half a minute later.
    """
    forked = multiprocessing.get_context("fork")
    opened, stop = forked.Value("q", 0), forked.Event()
    process = forked.Process(target=_attack, args=(crowds, nice, opened, stop), daemon=True)
    process.start()
    try:
        wait_until(lambda: opened.value >= sum(crowd.size for crowd in crowds), timeout_s=30)
        yield Progress(time.monotonic(), opened, opened.value)
    finally:
        stop.set()
        process.join(30)
        process.kill()


def _attack(crowds: tuple["Crowd", ...], nice: int, opened: Any, stop: Any) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    os.setsid()
    # where the kernel shares time among sessions first, the session's priority is what counts
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice))
    with contextlib.ExitStack() as stack:
        for crowd in crowds:
            stack.enter_context(crowd)
        while not stop.wait(0.1):
            opened.value = sum(crowd.opened for crowd in crowds)


@dataclass
class Crowd:
    """Keeps `size` connections of one kind open until it is left. Use as a context."""

    address: Address
    attack: Attack
    size: int
    wrap: Callable[[socket.socket], socket.socket] | None = None
    source: str | None = None  # the address that the connections come from
    opened: int = 0
    ended_by_server: int = 0
    ports: set[int] = field(default_factory=set)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Crowd":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=20)

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as sockets:
            due: dict[socket.socket, float] = {}
            while not self._stopped.is_set():
                for _ in range(min(self.size - len(due), 100)):
                    self._open(selector, due)
                for key, _ in selector.select(TICK_S):
                    self._receive(key.fileobj, selector, due)  # type: ignore[arg-type]
                self._drip(selector, due)
            for connection in due:
                sockets.callback(connection.close)

    def _open(self, selector: selectors.BaseSelector, due: dict[socket.socket, float]) -> None:
        connection = socket.socket()
        connection.settimeout(5)
        if self.attack.receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.attack.receive_buffer)
        if self.source:
            connection.bind((self.source, 0))
        try:
            connection.connect(self.address)
            connection = self.wrap(connection) if self.wrap else connection
            connection.sendall(self.attack.opening)
        except OSError:
            connection.close()
            return
        connection.settimeout(0)
        self.opened += 1
        self.ports.add(connection.getsockname()[1])
        due[connection] = time.monotonic() + random.uniform(0, self.attack.drip_every_s)
        if self.attack.reads:
            selector.register(connection, selectors.EVENT_READ)

    def _receive(
        self, connection: socket.socket, selector: selectors.BaseSelector, due: dict[socket.socket, float]
    ) -> None:
        try:
            ended = not connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            self._drop(connection, selector, due)

    def _drip(self, selector: selectors.BaseSelector, due: dict[socket.socket, float]) -> None:
        now = time.monotonic()
        if not self.attack.drip:
            return
        for connection in [connection for connection, at in due.items() if at <= now]:
            due[connection] = now + self.attack.drip_every_s
            try:
                connection.send(self.attack.drip)
            except BlockingIOError:
                continue
            except OSError:
                self._drop(connection, selector, due)

    def _drop(
        self, connection: socket.socket, selector: selectors.BaseSelector, due: dict[socket.socket, float]
    ) -> None:
        self.ended_by_server += 1
        due.pop(connection, None)
        with contextlib.suppress(KeyError, ValueError):
            selector.unregister(connection)
        connection.close()
