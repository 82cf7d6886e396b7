"""A task's result as a short text for operators: "created 3, refused 1"."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

NOTHING = "nothing due"
_done: ContextVar[Counter[str] | None] = ContextVar("done", default=None)


def count(**facts: int) -> None:
    """Adds to the counts of the current task. No effect outside a task."""
    done = _done.get()
    if done is not None:
        done.update(facts)


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Collects what is counted in this block."""
    done: Counter[str] = Counter()
    token = _done.set(done)
    try:
        yield done
    finally:
        _done.reset(token)


def returns_counts(task: Callable[..., object]) -> Callable[..., str]:
    """Decorates a task so that it returns what was counted while it ran."""

    @functools.wraps(task)
    def counted(*args: object, **kwargs: object) -> str:
        with counting() as done:
            task(*args, **kwargs)
        return describe(done)

    return counted


def describe(done: Counter[str]) -> str:
    """The counts as text, in the order in which they were first counted."""
    return (
        ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in done.items() if number) or NOTHING
    )
