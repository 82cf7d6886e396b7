"""Keeps strangers from flooding the log: repeated lines are counted instead of written.

A refused notification, an unknown path or a wrong Host header costs its sender nothing and us a line.
Warnings and errors are therefore written at most `lines` times per `per_s` seconds for each kind; a summary
line then gives the number of the others.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

# A kind is an event name or a message template in the code; there are a few dozen. If messages with values in
# them are logged, those beyond this number share one kind.
_MAX_KINDS = 1000

Kind = tuple[str, str]
log = logging.getLogger(__name__)


@dataclass
class _Window:
    """One kind's lines in the current interval."""

    started_at: float
    written: int = 0
    left_out: int = 0


class RepeatLimit(logging.Filter):
    """A filter for a handler.

    Lines below WARNING always pass: they are about what the shop does, not about what strangers do to it.
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
        """Removes the windows that have ended; returns those that have left out lines."""
        now = self._clock()
        ended = [
            (kind, window) for kind, window in self._windows.items() if now - window.started_at >= self._per_s
        ]
        for kind, _ in ended:
            del self._windows[kind]
        return [(kind, window) for kind, window in ended if window.left_out]


def _kind_of(record: logging.LogRecord) -> Kind:
    """The logger's name, with the exception's class, or else the event (structlog's records carry a
    dictionary), or else the message's template.

    A message logged with an exception often contains values: Django's about a wrong Host header contains the
    header.
    """
    if record.exc_info and record.exc_info[0]:
        return record.name, record.exc_info[0].__name__
    event = record.msg.get("event", "") if isinstance(record.msg, dict) else record.msg
    return record.name, str(event)[:200]
