"""Makes tasks observable: each log line carries the task's id, and with OpenTelemetry each task is a span."""

from contextlib import AbstractContextManager
from typing import Any

from celery import Task
from celery.signals import task_postrun, task_prerun
from structlog.contextvars import bind_contextvars, clear_contextvars

from shop import tracing

_SPAN = "shop_span"


def follow_tasks() -> None:
    """Starts following tasks in this process, whichever thread or child of the pool runs them."""
    task_prerun.connect(begin, weak=False, dispatch_uid="follow_tasks")
    task_postrun.connect(end, weak=False, dispatch_uid="follow_tasks")


def begin(task_id: str, task: Task, **kwargs: Any) -> None:
    """Called before a task runs."""
    clear_contextvars()
    bind_contextvars(task_id=task_id, task_name=task.name)
    span: AbstractContextManager[Any] = tracing.task(task.name, task_id)
    span.__enter__()
    setattr(task.request, _SPAN, span)


def end(task: Task, **kwargs: Any) -> None:
    """Called after Celery has logged the outcome."""
    span = getattr(task.request, _SPAN, None)
    if span is not None:
        span.__exit__(None, None, None)
    clear_contextvars()
