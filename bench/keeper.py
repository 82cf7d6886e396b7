"""Wakes programs that are held still when whoever holds them is gone: the system has asked them to end, but they can't hear it.

`python -m bench.keeper` reads `+GROUP` and `-GROUP` (held, no longer held) until its input ends, and wakes the process groups still held.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable


class Keeper:
    """The process that does it. Use as a context."""

    def __enter__(self) -> "Keeper":
        # In a session of its own, so that Ctrl-C doesn't reach it.
        command = [sys.executable, "-m", "bench.keeper"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.communicate()

    def hold(self, groups: Iterable[int]) -> None:
        """Say it before they are stopped."""
        self._say("+", groups)

    def let_go(self, groups: Iterable[int]) -> None:
        """Say it when they run again."""
        self._say("-", groups)

    def _say(self, sign: str, groups: Iterable[int]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.writelines(f"{sign}{group}\n" for group in groups)
        self._process.stdin.flush()


def main() -> None:
    held: set[int] = set()
    for line in sys.stdin:
        (held.add if line[0] == "+" else held.discard)(int(line[1:]))
    for group in held:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)


if __name__ == "__main__":
    main()
