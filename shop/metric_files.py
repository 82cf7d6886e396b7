"""Counters shared by the processes of one service, in files in the folder that `PROMETHEUS_MULTIPROC_DIR`
names.

prometheus_client's multiprocess mode keeps one file per process id, so a service whose processes come and go
accumulates files without end. Here a process takes the lowest free slot instead, continues the counters of
the slot's last owner, and leaves them to the next. A slot is held by a file lock, which the kernel releases
when the process ends, however it ends. So no counter decreases when a process is killed, and there are never
more files than there were concurrent processes.

Import this module before a metric is created. Without the variable each process counts for itself, as
commands and tests do.
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from prometheus_client import CollectorRegistry, Metric, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import REGISTRY, Collector

FOLDER = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]) if os.environ.get("PROMETHEUS_MULTIPROC_DIR") else None


class Slots:
    """The slots of a folder, and the one that this process holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: IO[str] | None = None
        self._number = ""
        # The parent's slot, which a child never takes: its inherited counters in memory may be older than
        # those in the file.
        self._inherited = ""

    def number(self) -> str:
        """This process's slot. Called on every change of a counter."""
        return self._number or self._take()

    def leave_to_parent(self) -> None:
        """Called in a child after a fork: the slot remains its parent's."""
        if self._held is not None:
            self._held.close()
        self._held, self._number, self._inherited = None, "", self._number or self._inherited

    def clear_dead(self) -> None:
        """Removes the live gauges, such as an open circuit breaker, of slots whose process is gone."""
        for path in self._folder.glob("slot_*.lock"):
            number = path.stem.removeprefix("slot_")
            if number != self._number and (lock := self._try_lock(number)) is not None:
                mark_process_dead(number, str(self._folder))  # type: ignore[no-untyped-call]
                lock.close()

    def _take(self) -> str:
        number = 0
        while (lock := self._try_lock(str(number))) is None or str(number) == self._inherited:
            if lock is not None:
                lock.close()
            number += 1
        mark_process_dead(str(number), str(self._folder))  # type: ignore[no-untyped-call]
        self._held, self._number = lock, str(number)
        return self._number

    def _try_lock(self, number: str) -> IO[str] | None:
        file = (self._folder / f"slot_{number}.lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file


class ServiceCollector(Collector):
    """The counters of all processes that share the folder, dead ones included."""

    def __init__(self, folder: Path, slots: Slots) -> None:
        self._folder, self._slots = folder, slots

    def collect(self) -> Iterable[Metric]:
        self._slots.clear_dead()
        found: Iterable[Metric] = MultiProcessCollector(None, str(self._folder)).collect()  # type: ignore[no-untyped-call]
        return found


def service_registry() -> CollectorRegistry:
    """The metrics of this service, or of this process alone if its processes share no folder."""
    if FOLDER is None:
        return REGISTRY
    registry = CollectorRegistry()
    registry.register(ServiceCollector(FOLDER, _slots))
    return registry


if FOLDER is not None:
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    _slots = Slots(FOLDER)
    os.register_at_fork(after_in_child=_slots.leave_to_parent)
    # The library's own hook for naming processes by something other than their id.
    values.ValueClass = values.MultiProcessValue(process_identifier=_slots.number)  # type: ignore[no-untyped-call]
elif os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None) is not None:
    # The variable was set but empty. The library only checks whether it exists, and would write into the
    # current folder.
    values.ValueClass = values.MutexValue
