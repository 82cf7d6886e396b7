"""The virtual clock: real time that can be jumped forward and run faster, slower or not at all."""

import threading
import time

from payments.simulator.store import Store


class Clock:
    """Virtual now = anchor + (real now - the anchor's real moment) x scale.

    The anchor is stored, so that after a restart the clock stands where it would have come to without one.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        saved = store.read_setting("clock") or {}
        self._real: float = saved.get("real", time.time())
        self._virtual: float = saved.get("virtual", self._real)
        self._scale: float = saved.get("scale", 1.0)

    @property
    def scale(self) -> float:
        return self._scale

    def now(self) -> float:
        with self._lock:
            return self._now(time.time())

    def jump_to(self, virtual: float) -> None:
        """Moves the clock forward. A moment that has passed is ignored: gateways never go back in time."""
        with self._lock:
            real = time.time()
            self._anchor(real, max(virtual, self._now(real)), self._scale)

    def set_scale(self, scale: float) -> None:
        """Virtual seconds per real second; 0 freezes the clock."""
        with self._lock:
            real = time.time()
            self._anchor(real, self._now(real), scale)

    def reset(self) -> None:
        """Back to real time."""
        with self._lock:
            real = time.time()
            self._anchor(real, real, 1.0)

    def real_wait_s(self, virtual: float) -> float | None:
        """Real seconds until a virtual moment; None if the clock is frozen before it."""
        left = virtual - self.now()
        if left <= 0:
            return 0.0
        return left / self._scale if self._scale > 0 else None

    def _now(self, real: float) -> float:
        return self._virtual + (real - self._real) * self._scale

    def _anchor(self, real: float, virtual: float, scale: float) -> None:
        self._real, self._virtual, self._scale = real, virtual, scale
        self._store.write_setting("clock", {"real": real, "virtual": virtual, "scale": scale})
