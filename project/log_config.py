"""The configuration of logging: Django's LOGGING, and structlog's."""

from typing import Any

import structlog

from project import log_lines

# Applied to every line.
_ALWAYS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=False),
]
# Also applied to the lines of libraries, after these.
_FOREIGN: list[Any] = [log_lines.name_task, log_lines.hide_links]


def configure_structlog() -> None:
    """Passes structlog's lines to the standard library's handlers."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_ALWAYS,
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def django_logging(*, level: str, line_format: str) -> dict[str, Any]:
    """LOGGING with `line_format` "json" or "console"."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": _formatter(
                structlog.processors.format_exc_info,
                log_lines.hide_values,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ),
            "console": _formatter(
                log_lines.hide_values,
                structlog.dev.ConsoleRenderer(pad_event_to=0, exception_formatter=log_lines.write_traceback),
            ),
        },
        "filters": {
            "repeats": {"()": "project.log_limit.RepeatLimit", "lines": 20, "per_s": 60},
            "ticks": {"()": "project.log_lines.LeaveOutTicks"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": line_format,
                "filters": ["ticks", "repeats"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Without Django's own handler, which mails each error to ADMINS, with the whole request.
            "django": {"handlers": [], "level": "INFO"},
            "django.server": {"level": "WARNING"},
            # They log whole URLs, including signed requests and the download links of bills.
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
        },
    }


def _formatter(*processors: Any) -> dict[str, Any]:
    return {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [*_ALWAYS, *_FOREIGN],
        "pass_foreign_args": True,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
    }
