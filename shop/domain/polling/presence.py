"""Which unpaid orders are being watched by their buyers: somebody who polls an order is still there, and may
just have paid it.

This is only a hint for the payment queries. It may get lost, and it costs a poll next to nothing: a process
notes an order at most once in `AGAIN_S`, and a thread of its own sends the notes to Valkey in batches.
"""

import threading
import time

import structlog

from shop import valkey

log = structlog.get_logger(__name__)

# An order that is still followed after this is noted again.
AGAIN_S = 20
PAUSE_S = 1
# The most numbers in memory and in Valkey; hints beyond that are dropped.
MAX_NOTED = 50_000


def note_watched(order_number: str) -> None:
    """Its buyer has just looked at this unpaid order."""
    _notes.add(order_number)


def take_watched(limit: int = 5000) -> list[str]:
    """Takes the numbers of up to `limit` orders that were watched since the last call."""
    try:
        taken: list[str] = valkey.client().spop(valkey.WATCHED_ORDERS, limit)
    except valkey.Unreachable as error:
        log.warning("watched_orders_unreachable", error=str(error))
        return []
    return sorted(taken)


class _Notes:
    """The notes that wait to be sent, and the thread that sends them, which starts with the first note."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted_at: dict[str, float] = {}
        self._new: list[str] = []
        self._thread: threading.Thread | None = None

    def add(self, number: str) -> None:
        now = time.monotonic()
        if now - self._noted_at.get(number, -AGAIN_S) < AGAIN_S:
            return
        with self._lock:
            if len(self._noted_at) >= MAX_NOTED:
                self._noted_at = {known: at for known, at in self._noted_at.items() if now - at < AGAIN_S}
            if len(self._noted_at) < MAX_NOTED:
                self._noted_at[number] = now
                self._new.append(number)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(PAUSE_S)
            with self._lock:
                new, self._new = self._new, []
            if not new:
                continue
            try:
                valkey.client().sadd(valkey.WATCHED_ORDERS, *new)
                # Nobody reads it while no worker runs.
                valkey.client().expire(valkey.WATCHED_ORDERS, 600)
            except valkey.Unreachable as error:
                log.warning("watched_orders_not_noted", orders=len(new), error=str(error))


_notes = _Notes()
