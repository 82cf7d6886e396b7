"""Flower can start and terminate tasks, so it doesn't start without a login, and requires it for every page,
metrics included.

Its list of tasks shows their results.
"""

import sys
from typing import Any

# The task and its result come first. Its id, which links to its page, comes last: it is wide, and it does no
# harm if a screen of 1280 pixels cuts it off.
COLUMNS = "name,state,result,received,runtime,uuid"


def demand_login() -> None:
    """Replaces Flower's command by one that demands a login. Only in processes of the `celery` command, which
    loads Flower before the app; no other process has loaded Flower.
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
    """A task's result without the quotes of its `repr`."""
    result = task.result
    if isinstance(result, str) and len(result) > 1 and result[0] == result[-1] == "'":
        task.result = result[1:-1]
    return task


def _must_have_login(options: Any) -> None:
    """Refuses an empty FLOWER_BASIC_AUTH, too: Flower would accept it as a login that anybody has."""
    logins = options.basic_auth or []
    is_complete = all(all(login.partition(":")[::2]) for login in logins)
    if not is_complete or not (logins or options.auth):
        raise SystemExit("Flower needs a login: set FLOWER_BASIC_AUTH=name:password.")
