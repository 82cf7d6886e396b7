"""Applies `--loglevel` and `--logfile` of Celery's commands on top of Django's LOGGING. `celery multi` and
`--detach` need them.
"""

import logging
import logging.handlers

import click
from click.core import ParameterSource


def is_given(option: str) -> bool:
    """Whether the command line has the option. Celery's default must not override LOG_LEVEL."""
    context = click.get_current_context(silent=True)
    source = context.get_parameter_source(option) if context is not None else None
    return source not in {None, ParameterSource.DEFAULT}


def write_to(path: str) -> None:
    """Sends what would go to stderr to a file, in the same format. If the file is moved away, a new one is
    created.
    """
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, logging.StreamHandler)]:
        new = logging.handlers.WatchedFileHandler(path, encoding="utf-8", delay=True)
        new.setFormatter(old.formatter)
        for one in old.filters:
            new.addFilter(one)
        root.removeHandler(old)
        root.addHandler(new)
