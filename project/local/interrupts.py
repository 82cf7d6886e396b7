"""SIGINT and SIGTERM as KeyboardInterrupt, but never in the middle of work that must not be torn apart.

`subprocess.Popen` holds a lock for the moment in which it looks after its process. An exception out of a
signal handler there leaves the lock taken, and the next `wait()` never returns.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_depth = 0
_is_pending = False


def install() -> None:
    """From here on both signals interrupt the main thread."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _handle)


@contextmanager
def deferred() -> Iterator[None]:
    """A short piece of work that is not interrupted. What came meanwhile interrupts at its end."""
    global _depth, _is_pending  # noqa: PLW0603 - one process has one set of signal handlers
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth and _is_pending:
            _is_pending = False
            raise KeyboardInterrupt


def _handle(signum: int, frame: object) -> None:
    global _is_pending  # noqa: PLW0603
    if _depth:
        _is_pending = True
    else:
        raise KeyboardInterrupt
