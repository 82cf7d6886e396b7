"""The load generator: a separate process that sends prepared requests as cheaply as Python can.

Times are seconds of the wall clock (`time.time()`), so that they can be compared with the database's.
"""

import itertools
import multiprocessing
import socket
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from multiprocessing.connection import Connection
from typing import cast

HOST, PATIENCE_S = "127.0.0.1", 30.0
Header = tuple[str, str]


@dataclass(frozen=True)
class Plan:
    """Requests as bytes, sent in order, once each; with `seconds`, repeated for that time.

    With `rate` (per second) they are sent on schedule, else as fast as possible. `keep` keeps the answers.
    """

    port: int
    requests: Sequence[bytes]
    connections: int
    rate: float | None = None
    seconds: float | None = None
    keep: bool = False


@dataclass(frozen=True)
class Result:
    """For each request: when it was sent (with a rate: due) and answered, its status, and its answer."""

    sent_at: Sequence[float]
    answered_at: Sequence[float]
    statuses: Sequence[int]
    answers: Sequence[bytes]

    @property
    def latencies_s(self) -> list[float]:
        return [answered - sent for sent, answered in zip(self.sent_at, self.answered_at, strict=True)]

    @property
    def wall_s(self) -> float:
        return max(self.answered_at) - min(self.sent_at)

    def not_expected(self, status: int) -> list[str]:
        """A sentence for each unexpected status."""
        counted, total = sorted(Counter(self.statuses).items()), len(self.statuses)
        return [f"{n} of {total} answers were {it}, not {status}" for it, n in counted if it != status]


def build_request(method: str, path: str, headers: Iterable[Header] = (), body: bytes = b"") -> bytes:
    """An HTTP/1.1 request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Client:
    """The sending process, connected and waiting; a context manager. Raises: EOFError when it has failed."""

    def __init__(self, plan: Plan) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._pipe, self._far_end = spawning.Pipe()
        self._process = spawning.Process(target=_serve, args=(plan, self._far_end), daemon=True)

    def __enter__(self) -> "Client":
        self._process.start()
        self._far_end.close()
        self._pipe.recv()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def run(self) -> Result:
        """Sends all requests and returns when the last answer has arrived."""
        self._pipe.send("go")
        return cast("Result", self._pipe.recv())


def _serve(plan: Plan, pipe: "Connection[object, object]") -> None:
    connections = [socket.create_connection((HOST, plan.port), PATIENCE_S) for _ in range(plan.connections)]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pipe.send("ready")
    pipe.recv()
    pipe.send(_play(plan, connections))


def _play(plan: Plan, connections: Sequence[socket.socket]) -> Result:
    done: list[tuple[int, float, float, int, bytes]] = []
    numbers = itertools.count()  # each number is drawn by one thread
    started = time.time()
    count = len(plan.requests) if plan.seconds is None else inf
    ends_at = inf if plan.seconds is None else started + plan.seconds

    def work(connection: socket.socket) -> None:
        for number in numbers:
            if number >= count or time.time() >= ends_at:
                return
            due_at = started + number / plan.rate if plan.rate else 0.0
            time.sleep(max(due_at - time.time(), 0.0))
            sent_at = due_at or time.time()
            answer = _exchange(connection, plan.requests[number % len(plan.requests)])
            done.append((number, sent_at, time.time(), int(answer[9:12]), answer if plan.keep else b""))

    with ThreadPoolExecutor(len(connections)) as pool:
        list(pool.map(work, connections))
    _, sent_at, answered_at, statuses, answers = zip(*sorted(done), strict=True)
    return Result(sent_at, answered_at, statuses, answers)


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    """Sends a request and returns the complete answer."""
    connection.sendall(request)
    answer, needed = b"", 0
    while not needed or len(answer) < needed:
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError("closed by the server")
        answer += chunk
        head, mark, _ = answer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        needed = len(head + mark) + int(length or 0) if mark else 0
    return answer
