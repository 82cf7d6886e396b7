"""The shop's log lines, as its handler writes them in JSON."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from structlog.contextvars import clear_contextvars

from project import log_limit

Lines = list[dict[str, Any]]


class Written:
    """The lines so far."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    def text(self) -> str:
        return self._stream.getvalue()

    def lines(self) -> Lines:
        return [json.loads(line) for line in self.text().splitlines()]

    def of(self, event: str) -> Lines:
        """Those of one event."""
        return [line for line in self.lines() if line["event"] == event]


@contextmanager
def written_lines(level: int = logging.INFO) -> Iterator[Written]:
    """Lines from now on, of `level` and above, whatever LOG_LEVEL is."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    configurator: Any = logging.config.DictConfigurator(settings.LOGGING)
    handler.setFormatter(configurator.configure_formatter(dict(settings.LOGGING["formatters"]["json"])))
    for name in settings.LOGGING["handlers"]["stderr"]["filters"]:
        handler.addFilter(configurator.configure_filter(dict(settings.LOGGING["filters"][name])))
    # Drops counts of repeated lines from earlier tests, which would be written with the next line.
    handler.addFilter(lambda record: record.name != log_limit.log.name)
    clear_contextvars()  # context that an earlier request of this thread has left
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield Written(stream)
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
