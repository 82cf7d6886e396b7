"""The virtual clock: real time that can jump forward, run faster or slower, or stand still."""

import time
from typing import NamedTuple

from payments.simulator.store import Store


class Anchor(NamedTuple):
    """A real moment, the virtual moment it stands for, and the virtual seconds per real second from there
    on.
    """

    real: float
    virtual: float
    scale: float


class Clock:
    """Virtual now = anchor + (real now - the anchor's real moment) x scale.

    The anchor is stored, so the clock runs on through a restart. It is replaced as a whole, so reads need no
    lock; the store's lock serialises changes.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        real = time.time()
        saved = store.read_setting("clock")
        self._anchor = Anchor(**saved) if saved else Anchor(real, real, 1.0)

    @property
    def scale(self) -> float:
        return self._anchor.scale

    def now(self) -> float:
        anchor = self._anchor
        return anchor.virtual + (time.time() - anchor.real) * anchor.scale

    def jump_to(self, virtual: float) -> None:
        """Moves the clock forward. A past moment is ignored: the clock never runs backwards."""
        with self._store.transaction():
            self._replace(Anchor(time.time(), max(virtual, self.now()), self.scale))

    def set_scale(self, scale: float) -> None:
        """Virtual seconds per real second; 0 freezes the clock."""
        with self._store.transaction():
            self._replace(Anchor(time.time(), self.now(), scale))

    def reset(self) -> None:
        """Back to real time."""
        real = time.time()
        with self._store.transaction():
            self._replace(Anchor(real, real, 1.0))

    def real_wait_s(self, virtual: float) -> float | None:
        """Real seconds until a virtual moment; None if the clock is frozen before it."""
        left = virtual - self.now()
        if left <= 0:
            return 0.0
        return left / self.scale if self.scale > 0 else None

    def _replace(self, anchor: Anchor) -> None:
        self._store.write_setting("clock", anchor._asdict())
        self._anchor = anchor
