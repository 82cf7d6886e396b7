"""The load: requests as bytes, sent by a process of its own (`bench.load`), and what came of them.

Times are seconds of the wall clock (`time.time()`), so that they can be compared with the database's.
"""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

HOST = "127.0.0.1"
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Plan:
    """Requests as bytes, sent in order, once each; with `seconds`, over and over for that time. With `rate` (per second) each has its time,
    whatever becomes of the others; else as fast as the connections allow. `keep` keeps the answers' heads and bodies."""

    port: int
    requests: Sequence[bytes]
    connections: int
    rate: float | None = None
    seconds: float | None = None
    keep: bool = False


@dataclass
class Result:
    """By request: when it was sent (with a rate: when it was due), when its answer was complete, the status (0: no answer), the answer."""

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
        return [
            f"{self.count(other)} of {len(self.statuses)} answers were {other}, not {status}"
            for other in sorted({*self.statuses} - {status})
        ]


def build_request(method: str, path: str, *, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> bytes:
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
        command = [sys.executable, "-m", "bench.load", str(self._folder)]
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
