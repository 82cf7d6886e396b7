"""Counts each task's runs, outcomes and durations, in the process that runs it, or in its parent if that
died.
"""

import time
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.signals import task_failure, task_postrun, task_prerun, task_retry
from prometheus_client import Counter, Histogram

import shop.metric_files  # noqa: F401 - before any metric is made
from worker.policy import POLICIES

# All tasks except the audit and the comparison of bills are limited to 30 or 40 seconds.
TASKS = Histogram(
    "task_seconds",
    "Tasks that ran, by name and outcome: success, failure, retry.",
    ["task", "outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
LOST = Counter(
    "tasks_lost_total",
    "Tasks that were cut off: by their time limit, or because their process died.",
    ["task"],
)
# Starts the counters at zero, so that the first lost task is visible as an increase.
for _name in POLICIES:
    LOST.labels(_name)

_started: dict[str, float] = {}


@task_prerun.connect
def note_start(task_id: str, **kwargs: Any) -> None:
    _started[task_id] = time.monotonic()


@task_postrun.connect
def count(task_id: str, task: Any, state: str | None = None, **kwargs: Any) -> None:
    started = _started.pop(task_id, None)
    if started is not None:
        TASKS.labels(task.name, (state or "unknown").lower()).observe(time.monotonic() - started)


# The pool's parent sends both signals for a task whose process has died and so couldn't count it.


@task_failure.connect
def count_lost(sender: Any, exception: BaseException, **kwargs: Any) -> None:
    """Counts a lost task that won't run again."""
    if isinstance(exception, TimeLimitExceeded | WorkerLostError):
        LOST.labels(sender.name).inc()


@task_retry.connect
def count_lost_and_retried(sender: Any, reason: Any, **kwargs: Any) -> None:
    """Counts a lost task that another process will run (`task_retry_on_worker_lost`)."""
    if isinstance(getattr(reason, "exc", None), WorkerLostError):
        LOST.labels(sender.name).inc()
