"""The process that `bench.client` starts: sends ready-made requests over a few kept-open connections, as cheaply as Python can.

`python -m bench.load FOLDER` reads FOLDER/plan.pickle, connects, says `ready`, waits for a line, runs, writes FOLDER/result.pickle and
says `done`.
"""

import pickle
import select
import socket
import sys
import time
from collections import deque
from pathlib import Path

from bench.client import HOST, PATIENCE_S, Plan, Result

_BODY_MARK = b"\r\n\r\n"
_LENGTH_MARK = b"content-length:"


class _Connection:
    """One socket, with at most one request on its way."""

    __slots__ = ("buffer", "index", "needed", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.index = -1
        self.buffer = b""
        self.needed = 0

    def send(self, index: int, request: bytes) -> None:
        self.index = index
        self.buffer = b""
        self.needed = 0
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Reads what is there; whether the answer is complete."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionError("closed by the server")
        self.buffer += chunk
        if not self.needed:
            self.needed = _answer_length(self.buffer)
        return bool(self.needed) and len(self.buffer) >= self.needed


def _answer_length(buffer: bytes) -> int:
    """How long the whole answer is, or 0 as long as its head isn't complete."""
    head_end = buffer.find(_BODY_MARK)
    if head_end < 0:
        return 0
    head = buffer[:head_end].lower()
    at = head.find(_LENGTH_MARK)
    if at < 0:
        return head_end + len(_BODY_MARK)
    return head_end + len(_BODY_MARK) + int(head[at + len(_LENGTH_MARK) :].split(b"\r\n", 1)[0])


class _Load:
    """Runs a plan over its connections."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._connections = {
            connection.socket.fileno(): connection for connection in (_Connection(plan.port) for _ in range(plan.connections))
        }
        self._poll = select.epoll()
        for number in self._connections:
            self._poll.register(number, select.EPOLLIN)
        self.result = Result()

    def run(self) -> None:
        idle = deque(self._connections.values())
        started = time.time()
        while self._is_more(started) or len(idle) < len(self._connections):
            now = time.time()
            while idle and self._is_more(started) and self._due_at(started) <= now:
                self._send(idle.popleft(), due_at=self._due_at(started) if self._plan.rate else now)
            ready = self._poll.poll(self._patience_s(started, has_idle=bool(idle)))
            if not ready and not idle:
                raise TimeoutError(f"no answer for {PATIENCE_S:.0f} s")
            for number, _ in ready:
                connection = self._connections[number]
                if connection.receive():
                    self._note(connection)
                    idle.append(connection)

    @property
    def _sent(self) -> int:
        return len(self.result.sent_at)

    def _is_more(self, started: float) -> bool:
        if self._plan.seconds is not None:
            return time.time() < started + self._plan.seconds
        return self._sent < len(self._plan.requests)

    def _due_at(self, started: float) -> float:
        return started + self._sent / self._plan.rate if self._plan.rate else 0.0

    def _patience_s(self, started: float, *, has_idle: bool) -> float:
        if has_idle and self._is_more(started):
            return max(self._due_at(started) - time.time(), 0.0)
        return PATIENCE_S

    def _send(self, connection: _Connection, *, due_at: float) -> None:
        index = self._sent
        for values, placeholder in ((self.result.answered_at, 0.0), (self.result.statuses, 0), (self.result.answers, b"")):
            values.append(placeholder)
        self.result.sent_at.append(due_at)
        connection.send(index, self._plan.requests[index % len(self._plan.requests)])

    def _note(self, connection: _Connection) -> None:
        index = connection.index
        self.result.answered_at[index] = time.time()
        self.result.statuses[index] = int(connection.buffer[9:12])
        if self._plan.keep:
            self.result.answers[index] = connection.buffer


def main() -> None:
    folder = Path(sys.argv[1])
    plan: Plan = pickle.loads((folder / "plan.pickle").read_bytes())
    load = _Load(plan)
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.process_time()
    load.run()
    load.result.cpu_s = time.process_time() - started
    (folder / "result.pickle").write_bytes(pickle.dumps(load.result))
    print("done", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
