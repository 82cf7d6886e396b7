"""CPU time by kind of process, from /proc: children included, also those that have ended.

A process that has ended and was waited for is in its parent's figure; between its end and that moment it is lost to a sampler, so a
window ends a little after the work does.
"""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.calibration import Calibration

# Seconds between the end of the work and the reading of the clocks.
SETTLE_S = 0.15
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Past these a window's figures are flagged: other programs' CPU time in cores, the cores' mean speed, and how long it lasted. A clock that
# ticks a hundred times a second and a speed from a handful of samples say little about less than a second.
OTHERS_MAX_CORES = 0.3
SPEED_MIN = 0.6
WALL_MIN_S = 1.0


@dataclass(frozen=True)
class Window:
    """What was used between two moments. CPU in seconds, raw. `speed` is the cores' mean speed, where 1 is that at which the calibration's
    piece of work takes `unit_s`; `others` is in cores."""

    wall_s: float
    cpu_s: Mapping[str, float]
    client_s: float
    speed: float
    others: float
    unit_s: float = 1.0

    @property
    def total_s(self) -> float:
        """CPU seconds of all kinds; the client is none of them."""
        return sum(self.cpu_s.values())

    def ms_per(self, units: int, kind: str | None = None) -> float:
        """CPU ms per unit at speed 1, of one kind or of all."""
        return self.raw_ms_per(units, kind) * self.speed

    def raw_ms_per(self, units: int, kind: str | None = None) -> float:
        """CPU ms per unit as the system counted it."""
        return 1000 * (self.total_s if kind is None else self.cpu_s.get(kind, 0.0)) / units

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
    """Reads the clocks of the programs in `roots`: kind → process ids whose trees are counted. The kinds don't overlap."""

    calibration: Calibration
    roots: Mapping[str, Iterable[int]]
    _start: _Reading = field(init=False)

    def start(self) -> None:
        """The window begins."""
        self.calibration.skip()
        self._start = self._read()

    def stop(self, *, client_s: float = 0.0) -> Window:
        """The window ends. `client_s`: what the load's own process used, for the record."""
        time.sleep(SETTLE_S)
        end, start = self._read(), self._start
        wall_s = end.at - start.at
        # A tree's figure shrinks when a child of it ends unseen; never by more than a tick or two.
        used = {kind: max(end.by_kind[kind] - start.by_kind[kind], 0.0) for kind in end.by_kind}
        others = (end.machine - start.machine) - (end.ours - start.ours)
        speed = self.calibration.take()
        return Window(wall_s, used, client_s, speed, others=max(others / wall_s, 0.0), unit_s=self.calibration.fastest_s)

    def _read(self) -> _Reading:
        processes = read_processes()
        children = _children(processes)
        return _Reading(
            at=time.monotonic(),
            by_kind={kind: sum(_tree_s(pid, processes, children) for pid in pids) for kind, pids in self.roots.items()},
            ours=_tree_s(os.getpid(), processes, children),
            machine=_machine_s(),
        )


def read_processes() -> dict[int, tuple[int, float]]:
    """Every process: its parent and its CPU seconds, with those of its ended children."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            found[int(entry.name)] = parse_stat(text)
    return found


def parse_stat(text: str) -> tuple[int, float]:
    """(parent, CPU seconds) of a line of /proc/<pid>/stat. The program's name may hold spaces and brackets."""
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), sum(int(ticks) for ticks in fields[11:15]) * _TICK_S


def _children(processes: Mapping[int, tuple[int, float]]) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in processes.items():
        children.setdefault(parent, []).append(pid)
    return children


def _tree_s(root: int, processes: Mapping[int, tuple[int, float]], children: Mapping[int, list[int]]) -> float:
    own = processes[root][1] if root in processes else 0.0
    return own + sum(_tree_s(child, processes, children) for child in children.get(root, ()))


def _machine_s() -> float:
    # user, nice, system, idle, iowait, irq, softirq, steal
    ticks = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) * _TICK_S
