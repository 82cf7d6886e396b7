"""Keeps strangers from flooding the log: repeated lines are counted instead of written.

A refused notification, a path that doesn't exist or a wrong Host header costs whoever sends it nothing and us
a line. Warnings and errors are therefore written at most `lines` times per `per_s` for each kind; the rest is
one line with their number.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

# Kinds are events and message templates of the code, a few dozen. Should somebody log composed messages,
# those share one kind past this.
_MAX_KINDS = 1000

Kind = tuple[str, str]
log = logging.getLogger(__name__)


@dataclass
class _Window:
    """One kind's lines of the current interval."""

    started_at: float
    written: int = 0
    left_out: int = 0


class RepeatLimit(logging.Filter):
    """For a handler.

    What is below WARNING always passes: it is what the shop does, not what strangers do to it.
    """

    def __init__(self, lines: int, per_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._lines = lines
        self._per_s = per_s
        self._clock = clock
        self._windows: dict[Kind, _Window] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or record.name == log.name:
            return True
        with self._lock:
            ended = self._take_ended()
            is_written = self._is_written(_kind_of(record))
        for (name, event), window in ended:
            log.warning(
                "%d lines of %s were left out in %.0f s: %s", window.left_out, name, self._per_s, event
            )
        return is_written

    def _is_written(self, kind: Kind) -> bool:
        if kind not in self._windows and len(self._windows) >= _MAX_KINDS:
            kind = ("", "any other")
        window = self._windows.setdefault(kind, _Window(self._clock()))
        if window.written < self._lines:
            window.written += 1
            return True
        window.left_out += 1
        return False

    def _take_ended(self) -> list[tuple[Kind, _Window]]:
        """Forgets the intervals that are over, and returns those of them that have something to tell."""
        now = self._clock()
        ended = [
            (kind, window) for kind, window in self._windows.items() if now - window.started_at >= self._per_s
        ]
        for kind, _ in ended:
            del self._windows[kind]
        return [(kind, window) for kind, window in ended if window.left_out]


def _kind_of(record: logging.LogRecord) -> Kind:
    """The logger with the exception's class, or with the event (structlog's records carry a dictionary), or
    with the message's template.

    The text beside an exception is often composed: Django's of a wrong Host header has the header in it.
    """
    if record.exc_info and record.exc_info[0]:
        return record.name, record.exc_info[0].__name__
    event = record.msg.get("event", "") if isinstance(record.msg, dict) else record.msg
    return record.name, str(event)[:200]
