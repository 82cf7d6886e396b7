"""Runs the programs side by side, shows their logs with coloured prefixes, and stops all when one dies.

A part that dies is not restarted here: on somebody's own machine the reason should be seen, not papered over.
In production a supervisor (docker-compose's restart policy) does restart.

Only the program itself is asked to stop, never its children behind its back: Celery's pool processes finish
their tasks that way.
"""

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from project.local.child import Child, stop_leftover
from project.local.errors import LocalError
from project.local.programs import Program
from project.local.state import ROOT

COLOURS = (36, 33, 32, 35, 34, 31)
FOLLOW_S = 0.2


class Runner:
    """The programs as children. Use as a context: leaving it leaves no process behind."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        env: Mapping[str, str],
        log_folder: Path,
        record_folder: Path,
        cwd: Path = ROOT,
        longest_stop_s: float = float("inf"),
    ) -> None:
        self._longest_stop_s = longest_stop_s
        for folder in (log_folder, record_folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._programs = {item.name: item for item in programs}
        self.children = {
            item.name: Child(
                name=item.name,
                argv=item.argv,
                env={**env, **item.env},
                cwd=cwd,
                log_path=log_folder / f"{item.name}.log",
                record_path=record_folder / f"{item.name}.json",
            )
            for item in programs
        }
        self._follower: LogFollower | None = None

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts every program, after whatever a killed run has left of it has been stopped."""
        for child in self.children.values():
            if child.record_path is not None:
                stop_leftover(child.record_path)
        for child in self.children.values():
            child.start()

    def require_alive(self) -> None:
        """Raises: LocalError when a program has ended, with the end of its log."""
        for child in self.children.values():
            if not child.is_running():
                raise LocalError(
                    f"{child.name} has ended by itself (exit status {child.exit_status}). The end of "
                    f"{child.log_path}:\n{child.log_tail()}"
                )

    def serve(self, *, shows_logs: bool = True) -> None:
        """Waits, and shows the logs if asked for, until somebody interrupts.

        Raises: LocalError when a program ends; KeyboardInterrupt.
        """
        if shows_logs:
            self._follower = LogFollower(
                {child.name: child.log_path for child in self.children.values()}, sys.stdout
            )
            self._follower.start()
        while True:
            self.require_alive()
            time.sleep(FOLLOW_S)

    def stop(self) -> None:
        """Ends every program: all are asked at once, and each has its own time to finish its work, or
        `longest_stop_s` if that is less.
        """
        asked_at = time.monotonic()
        for child in self.children.values():
            child.send(child.stop_signal)
        try:
            for child in self.children.values():
                stop_s = min(self._programs[child.name].stop_s, self._longest_stop_s)
                child.wait(max(0.0, asked_at + stop_s - time.monotonic()))
        finally:  # a second Ctrl-C: no more waiting
            for child in self.children.values():
                child.kill()
        if self._follower is not None:
            self._follower.finish()


class LogFollower(threading.Thread):
    """Prints what is added to the logs from now on, each line after the name of its program."""

    def __init__(self, logs: Mapping[str, Path], out: IO[str]) -> None:
        super().__init__(daemon=True)
        self._out = out
        self._ended = threading.Event()
        width = max(len(name) for name in logs)
        coloured = out.isatty() and "NO_COLOR" not in os.environ
        self._sources = []
        for number, (name, path) in enumerate(logs.items()):
            prefix = f"{name:{width}} | "
            colour = COLOURS[number % len(COLOURS)]
            file = path.open(encoding="utf-8", errors="replace")
            file.seek(0, os.SEEK_END)
            self._sources.append((f"\x1b[{colour}m{prefix}\x1b[0m" if coloured else prefix, file))

    def run(self) -> None:
        while not self._ended.wait(FOLLOW_S):
            self._print_new()
        self._print_new()
        for _, file in self._sources:
            file.close()

    def finish(self) -> None:
        """Prints the rest and returns when that is done."""
        self._ended.set()
        self.join(timeout=5)

    def _print_new(self) -> None:
        for prefix, file in self._sources:
            for line in file.readlines():
                print(f"{prefix}{line.rstrip()}", file=self._out)
        self._out.flush()
