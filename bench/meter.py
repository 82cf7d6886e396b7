"""CPU time by kind of process, and the speed of the cores meanwhile.

A virtual core runs at half to full speed, depending on the load of its sibling and of the host's other
guests. So CPU times of two moments can't be compared, but CPU time × speed can.
"""

import contextlib
import json
import multiprocessing
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from multiprocessing.connection import Connection, wait
from pathlib import Path
from statistics import mean

import psutil

from project.local.errors import LocalError

# The CPU time of a process that has ended is counted only once its parent has reaped it: wait for that.
SETTLE_S = 0.15
# Limits past which a window is flagged: other programs' cores, mean speed of the cores, duration in seconds.
OTHERS_MAX_CORES, SPEED_MIN, WALL_MIN_S = 0.3, 0.6, 1.0
# The calibration task takes 1 to 4 ms: eight per second use 1 to 3 % of a core.
TIMES_PER_S, ROUNDS, PATIENCE_S = 8, 30_000, 2.0


@dataclass(frozen=True)
class Window:
    """The usage between two moments. `speed` is the cores' mean speed: at 1 the calibration task takes
    `unit_s`. `cpu_s` is raw CPU time; `others` is in cores; `statements` counts SQL statements, if enabled.
    """

    wall_s: float
    cpu_s: Mapping[str, float]
    speed: float
    others: float
    unit_s: float = 1.0
    statements: int = 0

    def ms_per(self, units: int, kind: str | None = None) -> float:
        """CPU ms per unit at speed 1, of one kind or of all of them; without the client."""
        return self.raw_ms_per(units, kind) * self.speed

    def raw_ms_per(self, units: int, kind: str | None = None) -> float:
        """CPU ms per unit as counted by the kernel."""
        return 1000 * (sum(self.cpu_s.values()) if kind is None else self.cpu_s.get(kind, 0.0)) / units

    def at_unit(self, unit_s: float) -> "Window":
        """The same window relative to a speed 1 that was determined later."""
        return replace(self, speed=self.speed * unit_s / self.unit_s, unit_s=unit_s)

    @property
    def is_disturbed(self) -> bool:
        return self.others > OTHERS_MAX_CORES


class Calibration:
    """Repeats a fixed task in a process on every core to measure the cores' speed; a context manager.

    At speed 1 the task takes `fastest_s` of CPU time, the least ever seen here, as stored in `speed.json`.
    """

    def __init__(self, folder: Path) -> None:
        self._record = folder / "speed.json"
        kept = json.loads(self._record.read_text()) if self._record.exists() else {}
        self.fastest_s: float = kept.get("fastest_s", inf)
        self._pipes: list[Connection[object, float]] = []
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Calibration":
        spawning = multiprocessing.get_context("spawn")
        for core in sorted(os.sched_getaffinity(0)):
            ours, theirs = spawning.Pipe(duplex=False)
            process = spawning.Process(target=_work_on, args=(core, theirs), daemon=True)
            process.start()
            theirs.close()
            self._stack.callback(process.kill)
            self._pipes.append(ours)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def skip(self) -> None:
        """Starts a window: samples taken before it only count for the fastest speed."""
        self._note(self._read())

    def take(self) -> float:
        """The mean speed of all cores since the last call. Raises: LocalError when nothing was measured."""
        wait(self._pipes, PATIENCE_S)
        samples = self._read()
        if not samples:
            raise LocalError("the calibration gives no sign of life")
        self._note(samples)
        return mean(self.fastest_s / sample for sample in samples)

    def _read(self) -> list[float]:
        return [pipe.recv() for pipe in self._pipes for _ in iter(pipe.poll, 0)]

    def _note(self, samples: Sequence[float]) -> None:
        # The shortest sample may be a clock error, so the second-shortest is taken, or the 2nd percentile.
        usual = sorted(samples)[min(max(len(samples) // 50, 1), len(samples) - 1) :]
        if usual and usual[0] < self.fastest_s:
            self.fastest_s = usual[0]
            self._record.write_text(json.dumps({"fastest_s": self.fastest_s}))


def _work_on(core: int, pipe: "Connection[float, object]") -> None:
    """Sends the CPU seconds of each run of the task for as long as the other end of the pipe is open."""
    os.sched_setaffinity(0, {core})
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        while True:
            started, total = time.thread_time(), 0
            table = {number: number for number in range(64)}
            for number in range(ROUNDS):
                total += table[number & 63] ^ number
            pipe.send(time.thread_time() - started)
            time.sleep(1 / TIMES_PER_S)


class Meter:
    """Measures the process trees of `roots` (kind → process ids, not overlapping), ended children included. A
    context manager; `window` is set at its exit.
    """

    window: Window

    def __init__(self, calibration: Calibration, roots: Mapping[str, Iterable[int]]) -> None:
        self._calibration, self._roots = calibration, roots

    def __enter__(self) -> "Meter":
        self._calibration.skip()
        self._started_at, self._start = time.monotonic(), self._read()
        return self

    def __exit__(self, *exc_info: object) -> None:
        time.sleep(SETTLE_S)
        wall_s, end = time.monotonic() - self._started_at, self._read()
        # A tree's total may shrink by a tick or two when a child ends without being reaped.
        used = {kind: max(seconds - self._start[kind], 0.0) for kind, seconds in end.items()}
        others = max(used.pop("machine") - used.pop("ours"), 0.0) / wall_s
        speed = self._calibration.take()
        self.window = Window(wall_s, used, speed, others, unit_s=self._calibration.fastest_s)

    def _read(self) -> dict[str, float]:
        """CPU seconds of each kind, of this process with all descendants, and of the machine."""
        own: dict[int, float] = {}
        children: dict[int, list[int]] = {}
        for process in psutil.process_iter(["ppid", "cpu_times"]):
            if process.info["cpu_times"] is not None:
                own[process.pid] = sum(process.info["cpu_times"][:4])  # its own and its reaped children's
                children.setdefault(process.info["ppid"], []).append(process.pid)

        def tree_s(root: int) -> float:
            return own.get(root, 0.0) + sum(map(tree_s, children.get(root, ())))

        roots = {**self._roots, "ours": [os.getpid()]}
        times = psutil.cpu_times()  # `user` includes guest time
        machine = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
        return {kind: sum(map(tree_s, pids)) for kind, pids in roots.items()} | {"machine": machine}
