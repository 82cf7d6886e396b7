"""The load: ready-made requests, sent by a process of its own over a few kept-open connections, as cheaply as
Python can.

Times are seconds of the wall clock (`time.time()`), so that they compare with the database's. `python -m
bench.client FOLDER` reads FOLDER/plan.pickle, connects, says `ready`, waits for a line, sends, writes
FOLDER/result.pickle and says `done`.
"""

import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

HOST, PATIENCE_S = "127.0.0.1", 30.0


@dataclass(frozen=True)
class Plan:
    """Requests as bytes, sent in order, once each; with `seconds`, over and over for that time.

    With `rate` (per second) each has its time, whatever becomes of the others; else as fast as the
    connections allow. `keep` keeps the answers' heads and bodies.
    """

    port: int
    requests: Sequence[bytes]
    connections: int
    rate: float | None = None
    seconds: float | None = None
    keep: bool = False


@dataclass
class Result:
    """By request: when it was sent (with a rate: when it was due), when its answer was complete, the status
    (0: no answer), the answer.
    """

    sent_at: list[float] = field(default_factory=list)
    answered_at: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def latencies_s(self) -> list[float]:
        return [answered - sent for sent, answered in zip(self.sent_at, self.answered_at, strict=True)]

    @property
    def wall_s(self) -> float:
        return max(self.answered_at) - min(self.sent_at)

    def count(self, status: int) -> int:
        return self.statuses.count(status)

    def not_expected(self, status: int) -> list[str]:
        """A sentence for each other status that came."""
        others = sorted({*self.statuses} - {status})
        return [
            f"{self.count(other)} of {len(self.statuses)} answers were {other}, not {status}"
            for other in others
        ]


def build_request(
    method: str, path: str, *, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
) -> bytes:
    """An HTTP/1.1 request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Client:
    """The process, connected and waiting. Use as a context."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "plan.pickle").write_bytes(pickle.dumps(plan))

    def __enter__(self) -> "Client":
        command = [sys.executable, "-m", "bench.client", str(self._folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._expect("ready")
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()

    def run(self) -> Result:
        """Sends everything and returns when the last answer is there."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        self._expect("done")
        result: Result = pickle.loads((self._folder / "result.pickle").read_bytes())
        return result

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        if said != word:
            raise RuntimeError(f"the client said {said!r} instead of {word!r}")


def _play(plan: Plan, connections: Sequence[socket.socket], result: Result) -> None:
    lock, started = threading.Lock(), time.time()

    def take() -> tuple[int, float] | None:
        """The next request's number, and when it is due; None when there is none."""
        with lock:
            index = len(result.sent_at)
            if (
                time.time() >= started + plan.seconds
                if plan.seconds is not None
                else index == len(plan.requests)
            ):
                return None
            result.sent_at.append(0.0)
            result.answered_at.append(0.0)
            result.statuses.append(0)
            result.answers.append(b"")
            return index, started + index / plan.rate if plan.rate else 0.0

    def work(connection: socket.socket) -> None:
        while taken := take():
            index, due_at = taken
            time.sleep(max(due_at - time.time(), 0.0))
            result.sent_at[index] = due_at or time.time()
            answer = _exchange(connection, plan.requests[index % len(plan.requests)])
            result.answered_at[index] = time.time()
            result.statuses[index] = int(answer[9:12])
            result.answers[index] = answer if plan.keep else b""

    with ThreadPoolExecutor(len(connections)) as pool:
        list(pool.map(work, connections))


def _exchange(connection: socket.socket, request: bytes) -> bytes:
    """Sends a request and returns its whole answer."""
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


def main() -> None:
    # As the package's module: what is pickled here is read by a process that imported it under that name.
    from bench.client import Result  # noqa: PLC0415

    folder, result = Path(sys.argv[1]), Result()
    plan: Plan = pickle.loads((folder / "plan.pickle").read_bytes())
    connections = [
        socket.create_connection((HOST, plan.port), timeout=PATIENCE_S) for _ in range(plan.connections)
    ]
    for connection in connections:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.process_time()
    _play(plan, connections, result)
    result.cpu_s = time.process_time() - started
    (folder / "result.pickle").write_bytes(pickle.dumps(result))
    print("done", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
