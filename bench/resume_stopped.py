"""Resumes stopped programs when the process that stopped them is gone: the system asks them to end, but a
stopped program doesn't hear it.

`python -m bench.resume_stopped` reads `+GROUP` and `-GROUP` (stopped, resumed) until its input ends, and
resumes the groups still stopped.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable


class ResumeStopped:
    """The process that does it. Use as a context."""

    def __enter__(self) -> "ResumeStopped":
        # In a session of its own, so that Ctrl-C doesn't reach it.
        command = [sys.executable, "-m", "bench.resume_stopped"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()

    def stopping(self, groups: Iterable[int]) -> None:
        """To be called before they are stopped."""
        self._say("+", groups)

    def resumed(self, groups: Iterable[int]) -> None:
        """To be called when they run again."""
        self._say("-", groups)

    def _say(self, sign: str, groups: Iterable[int]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.writelines(f"{sign}{group}\n" for group in groups)
        self._process.stdin.flush()


def main() -> None:
    stopped: set[int] = set()
    for line in sys.stdin:
        (stopped.add if line[0] == "+" else stopped.discard)(int(line[1:]))
    for group in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)


if __name__ == "__main__":
    main()
