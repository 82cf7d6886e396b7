"""What other pools of the worker need to be compared fairly."""

from celery.signals import worker_ready

from worker.memory import calm_collector


def calm() -> None:
    """A pool without children does the work in the worker itself, whose collector nobody else calms."""
    worker_ready.connect(_calm)


def _calm(**kwargs: object) -> None:
    calm_collector()
