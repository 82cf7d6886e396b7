"""How fast each core runs at the moment: a small fixed piece of work, done again and again on every core
while something is measured.

A core gives between half and all of its speed, depending on what its hardware sibling and the host's other
guests do, so CPU time alone can't be compared between two moments. CPU time × speed can.

`python -m bench.calibration CORE` prints the CPU seconds of each piece of work, one line each, for as long as
its parent lives.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import IO

from project.local.errors import LocalError

TIMES_PER_S = 8
# On an overloaded machine its turn may come late.
PATIENCE_S = 2.0
# 1 to 4 ms, by the core, so that eight a second take 1 to 3 % of it.
ROUNDS = 30_000


def work() -> float:
    """Does the fixed piece of work once and returns the CPU seconds that it took."""
    started = time.thread_time()
    total = 0
    table = {number: number for number in range(64)}
    for number in range(ROUNDS):
        total += table[number & 63] ^ number
    return time.thread_time() - started


class Calibration:
    """The processes that do it, one pinned to each core.

    Speed 1 is the fastest that this machine was ever seen, kept in `record_path`.
    """

    def __init__(self, record_path: Path) -> None:
        self._record_path = record_path
        self._fastest_s: float = (
            json.loads(record_path.read_text())["fastest_s"] if record_path.exists() else float("inf")
        )
        self._processes: list[subprocess.Popen[bytes]] = []
        self._files: list[IO[str]] = []

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path) -> Iterator["Calibration"]:
        """A calibration with its record and its samples in the folder."""
        calibration = cls(folder / "speed.json")
        calibration.start(folder)
        try:
            yield calibration
        finally:
            calibration.stop()

    def start(self, folder: Path) -> None:
        """Starts measuring every core that this process may use. `folder` takes the samples."""
        for core in sorted(os.sched_getaffinity(0)):
            path = folder / f"calibration-{core}.txt"
            with path.open("w") as out:
                process = subprocess.Popen(
                    [sys.executable, "-m", "bench.calibration", str(core)],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                )
            self._processes.append(process)
            self._files.append(path.open())

    @property
    def fastest_s(self) -> float:
        """The CPU seconds of the piece of work at speed 1: what tells one machine from another."""
        return self._fastest_s

    def skip(self) -> None:
        """The window begins: what was measured until now only tells how fast the cores can be."""
        if samples := self._read():
            self._note(samples)

    def take(self) -> float:
        """The mean speed of all cores since the last call: 1 is the fastest state seen, 0.5 means twice the
        CPU time for the same work.

        Raises: LocalError when nothing was measured, not even after a while.
        """
        samples: list[float] = []
        deadline = time.monotonic() + PATIENCE_S
        while not samples and time.monotonic() < deadline:
            samples = self._read()
            time.sleep(0 if samples else 1 / TIMES_PER_S)
        if not samples:
            raise LocalError("the calibration gives no sign of life")
        self._note(samples)
        return mean(self._fastest_s / sample for sample in samples)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for file in self._files:
            file.close()
        self._processes, self._files = [], []

    def _read(self) -> list[float]:
        return [float(line) for file in self._files for line in file.read().split()]

    def _note(self, samples: Sequence[float]) -> None:
        # A single sample may be short by an error of the clock; two, and one in fifty, are a state that the
        # core was in.
        ordered = sorted(samples)
        fastest = ordered[min(max(len(ordered) // 50, 1), len(ordered) - 1)]
        if fastest < self._fastest_s:
            self._fastest_s = fastest
            self._record_path.write_text(json.dumps({"fastest_s": fastest}))


def main() -> None:
    os.sched_setaffinity(0, {int(sys.argv[1])})
    parent = os.getppid()
    due = time.monotonic()
    while os.getppid() == parent:
        print(work(), flush=True)
        due = max(due + 1 / TIMES_PER_S, time.monotonic())
        time.sleep(max(due - time.monotonic(), 0.0))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
