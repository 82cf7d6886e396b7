"""CPU time by kind of process, from /proc: children included, also those that have ended.

A process that has ended and was waited for is in its parent's figure; between its end and that moment it is
lost to a sampler, so a window ends a little after the work does.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import psutil

from bench.calibration import Calibration

# Seconds between the end of the work and the reading of the clocks.
SETTLE_S = 0.15
# Past these a window's figures are flagged: other programs' CPU time in cores, the cores' mean speed, and how
# long it lasted. A clock that ticks a hundred times a second and a speed from a handful of samples say little
# about less than a second.
OTHERS_MAX_CORES, SPEED_MIN, WALL_MIN_S = 0.3, 0.6, 1.0


@dataclass(frozen=True)
class Window:
    """What was used between two moments.

    CPU in seconds, raw. `speed` is the cores' mean speed, where 1 is that at which the calibration's piece of
    work takes `unit_s`; `others` is in cores.
    """

    wall_s: float
    cpu_s: Mapping[str, float]
    speed: float
    others: float
    unit_s: float = 1.0

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

    @property
    def is_slow(self) -> bool:
        return self.speed < SPEED_MIN

    @property
    def is_short(self) -> bool:
        return self.wall_s < WALL_MIN_S


@dataclass(frozen=True)
class _Reading:
    at: float
    by_kind: Mapping[str, float]
    ours: float
    machine: float


@dataclass
class Meter:
    """Reads the clocks of the programs in `roots`: kind → process ids whose trees are counted.

    The kinds don't overlap.
    """

    calibration: Calibration
    roots: Mapping[str, Iterable[int]]
    _start: _Reading = field(init=False)

    def start(self) -> None:
        """The window begins."""
        self.calibration.skip()
        self._start = self._read()

    def stop(self) -> Window:
        """The window ends."""
        time.sleep(SETTLE_S)
        end, start = self._read(), self._start
        wall_s = end.at - start.at
        # A tree's figure shrinks when a child of it ends unseen; never by more than a tick or two.
        used = {kind: max(end.by_kind[kind] - start.by_kind[kind], 0.0) for kind in end.by_kind}
        others = (end.machine - start.machine) - (end.ours - start.ours)
        speed = self.calibration.take()
        return Window(
            wall_s, used, speed, others=max(others / wall_s, 0.0), unit_s=self.calibration.fastest_s
        )

    def _read(self) -> _Reading:
        own, children = _read_processes()
        return _Reading(
            at=time.monotonic(),
            by_kind={
                kind: sum(_tree_s(pid, own, children) for pid in pids) for kind, pids in self.roots.items()
            },
            ours=_tree_s(os.getpid(), own, children),
            machine=_machine_s(),
        )


def _read_processes() -> tuple[dict[int, float], dict[int, list[int]]]:
    """Of every process its CPU seconds, with those of its ended children, and its children."""
    own: dict[int, float] = {}
    children: dict[int, list[int]] = {}
    for process in psutil.process_iter(["ppid", "cpu_times"]):
        if process.info["cpu_times"] is not None:
            own[process.pid] = sum(process.info["cpu_times"][:4])
            children.setdefault(process.info["ppid"], []).append(process.pid)
    return own, children


def _tree_s(root: int, own: Mapping[int, float], children: Mapping[int, list[int]]) -> float:
    return own.get(root, 0.0) + sum(_tree_s(child, own, children) for child in children.get(root, ()))


def _machine_s() -> float:
    """CPU seconds of everything on this machine. Guests' time is in `user` already."""
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)
