"""Runs a task like a worker, but in the test's own transaction: Celery's fixup for Django would close the
connection.
"""

import uuid
from typing import Any

from worker import task_context


def run_task(task: Any) -> tuple[str, str]:
    """The task's id and its result."""
    task_id = str(uuid.uuid4())
    task.push_request(id=task_id)
    task_context.begin(task_id=task_id, task=task)
    try:
        return task_id, str(task.run())
    finally:
        task_context.end(task=task)
        task.pop_request()
