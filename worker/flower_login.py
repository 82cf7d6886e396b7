"""Flower can run and end tasks: it never starts without a login, and shows nothing to whoever has none, its
metrics neither.

Its list says what tasks came to.
"""

import sys
from typing import Any

# What a task was and what came of it first. Its id, which leads to its page, last: it is wide, and what 1280
# pixels cut off of it says nothing.
COLUMNS = "name,state,result,received,runtime,uuid"


def demand_login() -> None:
    """In a process of the `celery` command, which loads Flower's before the app.

    No other process knows Flower.
    """
    command = sys.modules.get("flower.command")
    if command is None:
        return
    from flower.app import Flower  # noqa: PLC0415 - as above
    from flower.options import options as known  # noqa: PLC0415
    from flower.urls import handlers  # noqa: PLC0415
    from flower.views.monitor import Metrics  # noqa: PLC0415
    from tornado.web import authenticated  # noqa: PLC0415

    class LockedMetrics(Metrics):
        @authenticated
        async def get(self) -> None:
            await super().get()

    class LockedFlower(Flower):
        def __init__(self, options: Any = None, **kwargs: Any) -> None:
            _must_have_login(options)
            if options.tasks_columns == default_columns:
                options.tasks_columns = COLUMNS
            options.format_task = options.format_task or plain_result
            super().__init__(options=options, **kwargs)

    default_columns = known._options["tasks-columns"].default
    for place, handler in enumerate(handlers):
        if isinstance(handler, tuple) and handler[0] == "/metrics":
            handlers[place] = ("/metrics", LockedMetrics)
    command.Flower = LockedFlower  # type: ignore[attr-defined] # it is there


def plain_result(task: Any) -> Any:
    """What a task said, without the quotes of its `repr`."""
    result = task.result
    if isinstance(result, str) and len(result) > 1 and result[0] == result[-1] == "'":
        task.result = result[1:-1]
    return task


def _must_have_login(options: Any) -> None:
    """An empty FLOWER_BASIC_AUTH is a login for Flower: one that anybody has."""
    logins = options.basic_auth or []
    is_complete = all(all(login.partition(":")[::2]) for login in logins)
    if not is_complete or not (logins or options.auth):
        raise SystemExit("Flower needs a login: set FLOWER_BASIC_AUTH=name:password.")
