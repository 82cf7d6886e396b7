"""What a task has done, in a few words for whoever watches: "created 3, refused 1"."""

import functools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

NOTHING = "nothing due"
_done: ContextVar[Counter[str] | None] = ContextVar("done", default=None)


def count(**facts: int) -> None:
    """Adds to what the current task will say. Outside of one it is nobody's business."""
    done = _done.get()
    if done is not None:
        done.update(facts)


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Whatever is counted in this block."""
    done: Counter[str] = Counter()
    token = _done.set(done)
    try:
        yield done
    finally:
        _done.reset(token)


def telling(task: Callable[..., object]) -> Callable[..., str]:
    """Has a task return what was counted while it ran."""

    @functools.wraps(task)
    def told(*args: object, **kwargs: object) -> str:
        with counting() as done:
            task(*args, **kwargs)
        return say(done)

    return told


def say(done: Counter[str]) -> str:
    """The facts in the order in which they were counted first."""
    return (
        ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in done.items() if number) or NOTHING
    )
