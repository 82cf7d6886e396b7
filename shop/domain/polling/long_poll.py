"""Long polling: a poller's request is held until its order changes.

Each held request occupies a thread of the web process. WSGI doesn't report that a client has gone, so a buyer
holds one place at most, and their newest request takes it over.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings

from shop.domain.polling.answer_cache import Answer

# Short intervals at first (an order is usually created within 10 ms), longer ones later.
_FIRST_LOOK_S = 0.01
_LAST_LOOK_S = 0.25


class Places:
    """At most this many requests are held at a time, one for each buyer."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._held: dict[int, threading.Event] = {}

    @contextmanager
    def hold(self, account_id: int) -> Iterator[threading.Event | None]:
        """The buyer's place, as an event that is set when another request of theirs takes it over.

        None when all places are taken.
        """
        mine = threading.Event()
        with self._lock:
            former = self._held.get(account_id)
            is_held = former is not None or len(self._held) < self._size
            if is_held:
                self._held[account_id] = mine
        if former is not None:
            former.set()
        try:
            yield mine if is_held else None
        finally:
            with self._lock:
                if self._held.get(account_id) is mine:
                    del self._held[account_id]


_places = Places(settings.ORDER_STATUS_WAITERS)


def wait_for_change(look: Callable[[], Answer | None], *, since: Answer, seconds: float) -> Answer:
    """What `look` finds as soon as its body is no longer that of `since`, or after `seconds`.

    Returns earlier, and as of then, when too many wait already or when the same buyer's next request takes
    the place over. Each look is a statement of its own, if that: nothing is held in the database meanwhile.
    """
    with _places.hold(since.account_id) as taken_over:
        if taken_over is None:
            return since
        seen = since
        deadline = time.monotonic() + seconds
        pause = _FIRST_LOOK_S
        while (left := deadline - time.monotonic()) > 0:
            if taken_over.wait(min(pause, left)):
                break
            seen = look() or seen
            if seen.body != since.body:
                break
            pause = min(pause * 1.5, _LAST_LOOK_S)
        return seen
