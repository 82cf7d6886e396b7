"""How often each task ran, what came of it, and how long it took: counted by the process that runs it, or by
its parent if that died.
"""

import time
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.signals import task_failure, task_postrun, task_prerun, task_retry
from prometheus_client import Counter, Histogram

import shop.metric_files  # noqa: F401 - before any metric is made
from worker.policy import POLICIES

# Nothing but the audit takes longer than its limit of 30 or 40 seconds.
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
# From zero: the first one that is cut off must be seen as a change.
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


# Both are sent by the pool's parent for a task whose process is gone: that one counts nothing any more.


@task_failure.connect
def count_lost(sender: Any, exception: BaseException, **kwargs: Any) -> None:
    """It won't be run again."""
    if isinstance(exception, TimeLimitExceeded | WorkerLostError):
        LOST.labels(sender.name).inc()


@task_retry.connect
def count_lost_and_retried(sender: Any, reason: Any, **kwargs: Any) -> None:
    """Another process will run it (`task_retry_on_worker_lost`)."""
    if isinstance(getattr(reason, "exc", None), WorkerLostError):
        LOST.labels(sender.name).inc()
