"""CPU time by kind of process, and the speed of the cores meanwhile.

A core gives between half and all of its speed, depending on what its hardware sibling and the host's other
guests do, so CPU time alone can't be compared between two moments. CPU time × speed can.
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

# A process that has ended and wasn't waited for is in nobody's figure: the clocks are read a bit later.
SETTLE_S = 0.15
# Past these a window's figures are flagged: others' CPU time in cores, the cores' mean speed, the seconds.
OTHERS_MAX_CORES, SPEED_MIN, WALL_MIN_S = 0.3, 0.6, 1.0
# The calibration's piece of work takes 1 to 4 ms: eight a second are 1 to 3 % of a core.
TIMES_PER_S, ROUNDS, PATIENCE_S = 8, 30_000, 2.0


@dataclass(frozen=True)
class Window:
    """What was used between two moments: CPU in seconds, raw. At `speed` 1, the cores' mean, the fixed piece
    of work takes `unit_s`; `others` is in cores; `statements` are SQL statements, if counted.
    """

    wall_s: float
    cpu_s: Mapping[str, float]
    speed: float
    others: float
    unit_s: float = 1.0
    statements: int = 0

    def ms_per(self, units: int, kind: str | None = None) -> float:
        """CPU ms per unit at speed 1, of one kind or of all; the client is none of them."""
        return self.raw_ms_per(units, kind) * self.speed

    def raw_ms_per(self, units: int, kind: str | None = None) -> float:
        """CPU ms per unit as the system counted it."""
        return 1000 * (sum(self.cpu_s.values()) if kind is None else self.cpu_s.get(kind, 0.0)) / units

    def at_unit(self, unit_s: float) -> "Window":
        """The same with speed 1 as it was found to be later."""
        return replace(self, speed=self.speed * unit_s / self.unit_s, unit_s=unit_s)

    @property
    def is_disturbed(self) -> bool:
        return self.others > OTHERS_MAX_CORES


class Calibration:
    """A fixed piece of work, done again and again by a process on every core. Use as a context.

    It takes `fastest_s` of CPU at speed 1, the fastest ever seen here, which `speed.json` in the folder has.
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
        """A window begins: what was measured until now only tells how fast the cores can be."""
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
        # A single sample may be short by an error of the clock; two, and one in fifty, tell a core's state.
        usual = sorted(samples)[min(max(len(samples) // 50, 1), len(samples) - 1) :]
        if usual and usual[0] < self.fastest_s:
            self.fastest_s = usual[0]
            self._record.write_text(json.dumps({"fastest_s": self.fastest_s}))


def _work_on(core: int, pipe: "Connection[float, object]") -> None:
    """Sends the CPU seconds of each piece of work, for as long as somebody holds the other end."""
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
    """Reads the clocks of `roots`: kind → process ids whose trees are counted, with children that have ended,
    and don't overlap. Use as a context; `window` is there afterwards.
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
        # A tree's figure shrinks when a child of it ends unseen; never by more than a tick or two.
        used = {kind: max(seconds - self._start[kind], 0.0) for kind, seconds in end.items()}
        others = max(used.pop("machine") - used.pop("ours"), 0.0) / wall_s
        speed = self._calibration.take()
        self.window = Window(wall_s, used, speed, others, unit_s=self._calibration.fastest_s)

    def _read(self) -> dict[str, float]:
        """CPU seconds of each kind, of all that this process has started, and of the machine."""
        own: dict[int, float] = {}
        children: dict[int, list[int]] = {}
        for process in psutil.process_iter(["ppid", "cpu_times"]):
            if process.info["cpu_times"] is not None:
                own[process.pid] = sum(process.info["cpu_times"][:4])  # its own, and its ended children's
                children.setdefault(process.info["ppid"], []).append(process.pid)

        def tree_s(root: int) -> float:
            return own.get(root, 0.0) + sum(map(tree_s, children.get(root, ())))

        roots = {**self._roots, "ours": [os.getpid()]}
        times = psutil.cpu_times()  # guests' time is in `user` already
        machine = times.user + times.nice + times.system + times.irq + times.softirq + times.steal
        return {kind: sum(map(tree_s, pids)) for kind, pids in roots.items()} | {"machine": machine}
