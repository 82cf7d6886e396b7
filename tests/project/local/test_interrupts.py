"""Ctrl-C at the worst moment: nothing hangs afterwards."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from project.local import interrupts
from project.local.child import Child


class InterruptedLock:
    """Popen's lock, with a Ctrl-C that comes just after it was taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_first = True

    def acquire(self, *args: Any) -> bool:
        got = self._lock.acquire(*args)
        if self._is_first:
            self._is_first = False
            signal.raise_signal(signal.SIGINT)
        return got

    def release(self) -> None:
        self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        self.release()


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    made = Child(name="sleeper", argv=["/bin/sleep", "1000"], log_path=tmp_path / "log", cwd=tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture(autouse=True)
def _own_handlers() -> Iterator[None]:
    before = [(signum, signal.getsignal(signum)) for signum in (signal.SIGINT, signal.SIGTERM)]
    yield
    for signum, handler in before:
        signal.signal(signum, handler)


DEEDS: dict[str, Callable[[Child], object]] = {
    "is_running": lambda child: child.is_running(),
    "exit_status": lambda child: child.exit_status,
    "send": lambda child: child.send(0),
    "wait": lambda child: child.wait(5),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_interrupt_comes_after_the_lock_is_free_again(child: Child, deed: str) -> None:
    interrupts.install()
    lock = InterruptedLock()
    child._process._waitpid_lock = lock  # type: ignore[union-attr]
    with pytest.raises(KeyboardInterrupt):
        DEEDS[deed](child)
    assert not lock.locked()
    started = time.monotonic()
    child.kill()
    assert child.exit_status == -signal.SIGKILL
    assert time.monotonic() - started < 3


def test_without_the_deferral_the_lock_stays_taken(child: Child) -> None:
    """The control: Python's own handler leaves the lock held, and a wait without a timeout would hang."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lock = InterruptedLock()
    process: Any = child._process
    process._waitpid_lock = lock
    with pytest.raises(KeyboardInterrupt):
        child.is_running()
    assert lock.locked()
    lock.release()


def test_both_signals_interrupt_at_once_where_nothing_is_torn() -> None:
    interrupts.install()
    for signum in (signal.SIGINT, signal.SIGTERM):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signum)


def test_nested_work_is_interrupted_at_its_very_end() -> None:
    interrupts.install()
    done = []

    def work() -> None:
        with interrupts.deferred():
            with interrupts.deferred():
                signal.raise_signal(signal.SIGTERM)
                done.append("inner")
            done.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["inner", "outer"]
