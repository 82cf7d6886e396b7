"""The Celery process: app, queues and routes, retry policy, beat schedule."""

from worker.celery import app

__all__ = ["app"]
