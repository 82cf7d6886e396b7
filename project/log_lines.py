"""Adds what the log lines of libraries lack, and removes what no line may reveal."""

import io
import logging
import re
from typing import Any, TextIO

import structlog
from django.http import HttpRequest
from structlog.typing import EventDict, ExcInfo, WrappedLogger

# Every worker runs it every two seconds; the sweep itself logs what it has found.
_TICK = "worker.sweep"
_QUOTING = frozenset({"event", "exception", "error", "reason", "why"})
_DETAIL = re.compile(r"(DETAIL: +|CONTEXT: +).*")
_MAILBOX = re.compile(r"[\w.+%-]+@[\w-]+(\.[\w-]+)+")
# Chinese mobile numbers that aren't part of a longer word or number.
_PHONE = re.compile(r"(?<![0-9A-Za-z])(\+?86)?1[3-9][0-9]{9}(?![0-9A-Za-z])")
# A signed payment link; the link in a mail for resetting a password.
_KEYS = re.compile(r"^(/pay/|/password/reset/[^/]+/).+")


def name_task(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Adds the task's id and name to Celery's own lines about it, which are logged outside the task."""
    record: logging.LogRecord = event["_record"]
    args = event.pop("positional_args", None)
    if record.name.startswith("celery.") and (told := _task_of(record.msg, args)):
        event.setdefault("task_id", told[0])
        event.setdefault("task_name", told[1])
    return event


def hide_links(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Redacts the path in Django's lines about refused requests: payment links and password reset links are
    secrets.
    """
    record: logging.LogRecord = event["_record"]
    request = getattr(record, "request", None)
    if isinstance(request, HttpRequest):
        event["event"] = str(event["event"]).replace(request.path, public_path(request))
    return event


def public_path(request: HttpRequest) -> str:
    """The request's path without its secret part, if it has one."""
    return _KEYS.sub(r"\1…", request.path)


def hide_values(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Redacts what errors quote: PostgreSQL quotes a whole row, others an e-mail address or a phone number.

    In the JSON format it runs once tracebacks are text; on the console `write_traceback` redacts them.
    """
    for name in _QUOTING.intersection(event):
        if isinstance(event[name], str):
            event[name] = _without_values(event[name])
    return event


def write_traceback(sio: TextIO, exc_info: ExcInfo) -> None:
    """Writes a plain traceback: the pretty ones print every local variable, secrets among them, and take up
    to half a minute of CPU.
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
    """The id and the name of the task that one of Celery's records is about; None if it is about no task."""
    if isinstance(args, dict) and "id" in args and "name" in args:
        return str(args["id"]), str(args["name"])
    if isinstance(args, tuple) and len(args) >= 2 and str(message).endswith("%s[%s]"):
        return str(args[-1]), str(args[-2])
    return None
