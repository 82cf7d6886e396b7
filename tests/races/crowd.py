"""Many threads that start at the same moment, each on a database connection of its own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

T = TypeVar("T")
PATIENCE_S = 60


def run_at_once(jobs: Sequence[Callable[[], T]]) -> list[T | Exception]:
    """Runs every job in a thread; all start together.

    Returns their results or exceptions, in order.
    """
    start = threading.Barrier(len(jobs), timeout=PATIENCE_S)

    def run(job: Callable[[], T]) -> T | Exception:
        try:
            connections["default"].ensure_connection()
            start.wait()
            return job()
        except Exception as error:  # noqa: BLE001 - the test looks at what each of them met
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def count_kinds(results: Sequence[object]) -> dict[str, int]:
    """Counts results by kind: an exception's kind is its class, anything else is `ok`."""
    kinds: dict[str, int] = {}
    for result in results:
        kind = type(result).__name__ if isinstance(result, Exception) else "ok"
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds
