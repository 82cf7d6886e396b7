"""What other people's log lines lack, and what they reveal."""

import io
import logging
import re
from typing import Any, TextIO

import structlog
from django.http import HttpRequest
from structlog.typing import EventDict, ExcInfo, WrappedLogger

# Looked for every two seconds by every worker; the sweep itself says when it has found something.
_TICK = "worker.sweep"
_QUOTING = frozenset({"event", "exception", "error", "reason", "why"})
_DETAIL = re.compile(r"(DETAIL: +|CONTEXT: +).*")
_MAILBOX = re.compile(r"[\w.+%-]+@[\w-]+(\.[\w-]+)+")
# China's mobile numbers, where no longer number goes on around them.
_PHONE = re.compile(r"(?<![0-9A-Za-z])(\+?86)?1[3-9][0-9]{9}(?![0-9A-Za-z])")
# A signed link to a payment; a mail's link to a new password.
_KEYS = re.compile(r"^(/pay/|/password/reset/[^/]+/).+")


def name_task(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Celery's own lines about a task come from outside of it: its id and name are taken from what the line
    says.
    """
    record: logging.LogRecord = event["_record"]
    args = event.pop("positional_args", None)
    if record.name.startswith("celery.") and (told := _task_of(record.msg, args)):
        event.setdefault("task_id", told[0])
        event.setdefault("task_name", told[1])
    return event


def hide_links(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Django's lines about refused requests have the path, and some paths are keys: to a payment, to a new
    password.
    """
    record: logging.LogRecord = event["_record"]
    request = getattr(record, "request", None)
    if isinstance(request, HttpRequest):
        event["event"] = str(event["event"]).replace(request.path, public_path(request))
    return event


def public_path(request: HttpRequest) -> str:
    """The request's path without what only its user may know."""
    return _KEYS.sub(r"\1…", request.path)


def hide_values(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Errors quote what they stumbled over: PostgreSQL a whole row, others a mailbox or a number. Last, when
    tracebacks are text.
    """
    for name in _QUOTING.intersection(event):
        if isinstance(event[name], str):
            event[name] = _without_values(event[name])
    return event


def write_traceback(sio: TextIO, exc_info: ExcInfo) -> None:
    """A plain traceback: the pretty ones print every local variable, secrets among them, and take up to half
    a minute of CPU.
    """
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    sio.write(_without_values(plain.getvalue()))


def _without_values(text: str) -> str:
    return _PHONE.sub("…", _MAILBOX.sub("…", _DETAIL.sub(r"\1…", text)))


class LeaveOutTicks(logging.Filter):
    """Drops the lines that Celery writes at INFO about each run of the sweep."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.INFO or not record.name.startswith("celery."):
            return True
        told = _task_of(record.msg, record.args)
        return told is None or told[1] != _TICK


def _task_of(message: Any, args: Any) -> tuple[str, str] | None:
    """The id and the name of the task that a record of Celery's is about."""
    if isinstance(args, dict) and "id" in args and "name" in args:
        return str(args["id"]), str(args["name"])
    if isinstance(args, tuple) and len(args) >= 2 and str(message).endswith("%s[%s]"):
        return str(args[-1]), str(args[-2])
    return None
