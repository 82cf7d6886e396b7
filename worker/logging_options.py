"""`--loglevel` and `--logfile` of Celery's commands, on top of Django's LOGGING.

`celery multi` and `--detach` need them.
"""

import logging
import logging.handlers

import click
from click.core import ParameterSource


def is_given(option: str) -> bool:
    """Whether the command line says so; a default of Celery's doesn't go before LOG_LEVEL."""
    context = click.get_current_context(silent=True)
    source = context.get_parameter_source(option) if context is not None else None
    return source not in {None, ParameterSource.DEFAULT}


def write_to(path: str) -> None:
    """Sends what would go to stderr to a file, in the same form.

    The file may be moved away; another one is begun then.
    """
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, logging.StreamHandler)]:
        new = logging.handlers.WatchedFileHandler(path, encoding="utf-8", delay=True)
        new.setFormatter(old.formatter)
        for one in old.filters:
            new.addFilter(one)
        root.removeHandler(old)
        root.addHandler(new)
