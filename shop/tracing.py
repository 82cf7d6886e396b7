"""One purchase, one id: what is done for it anywhere carries the id of the request that asked for it.

The log always does. With `OTEL_TRACES_EXPORTER` the same id is a trace (`shop/telemetry.py`); without it,
nothing here opens a span.
"""

import contextvars
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, TypeVar

import structlog
from django.core.exceptions import ImproperlyConfigured
from structlog.contextvars import bound_contextvars, get_contextvars

from shop import results

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")
_NO_SPAN: AbstractContextManager[None] = nullcontext()


class Spans(Protocol):
    """What records spans, when the shop is set up to have any."""

    def step(
        self, name: str, attributes: dict[str, Any], *, is_call: bool = False
    ) -> AbstractContextManager[Any]:
        """A part of what is being done: its parent is the current span."""

    def purchase(self, name: str, trace_id: str) -> AbstractContextManager[Any]:
        """Work on one purchase, in the purchase's trace, linked to the current span."""

    def members(self, name: str, trace_ids: Collection[str]) -> None:
        """A batch did this for each of these purchases: a span in each one's trace, as long as the current
        span and linked to it.
        """

    def task(self, name: str, task_id: str) -> AbstractContextManager[Any]:
        """A task, in a trace of its own: it works for many."""

    def annotate(self, attributes: dict[str, Any]) -> None:
        """Adds to the current span."""

    def flush(self) -> object:
        """Sends what has been recorded."""


_spans: Spans | None = None


def record_with(spans: Spans | None) -> None:
    """From now on spans are recorded with this; None: not at all."""
    global _spans  # noqa: PLW0603 - one for each process
    _spans = spans


def start_recording(exporter: str) -> None:
    """Records spans from now on, unless `exporter` is "none".

    Raises: ImproperlyConfigured when OpenTelemetry isn't installed.
    """
    if exporter == "none":
        return
    try:
        from shop import telemetry  # noqa: PLC0415 - most shops have no OpenTelemetry
    except ImportError as error:
        raise ImproperlyConfigured(
            "OTEL_TRACES_EXPORTER needs the packages of requirements-otel.txt."
        ) from error
    telemetry.start(exporter)


def flush() -> None:
    """Sends the spans so far: the process is about to end."""
    if _spans is not None:
        _spans.flush()


def recorder() -> Spans | None:
    """What spans are recorded with."""
    return _spans


def task(name: str, task_id: str) -> AbstractContextManager[Any]:
    """A task of a worker."""
    return _NO_SPAN if _spans is None else _spans.task(name, task_id)


def step(name: str, **attributes: Any) -> AbstractContextManager[Any]:
    """A part of a request or a task that is worth a span."""
    return _NO_SPAN if _spans is None else _spans.step(name, attributes)


def call(name: str, about: dict[str, Any]) -> AbstractContextManager[Any]:
    """A call of another server."""
    return _NO_SPAN if _spans is None else _spans.step(name, about, is_call=True)


def annotate(**facts: Any) -> None:
    """Adds to the current span."""
    if _spans is not None:
        _spans.annotate(facts)


@contextmanager
def purchase(name: str, trace_id: str) -> Iterator[None]:
    """Work on one purchase alone: its id is on every log line of the block, and goes with every call of the
    gateway.
    """
    with (
        bound_contextvars(trace_id=trace_id),
        _NO_SPAN if _spans is None else _spans.purchase(name, trace_id),
    ):
        yield


def batch_did(
    name: str, ids: Collection[str], facts: Mapping[str, int], *, ids_of: str = "trace_ids"
) -> None:
    """A batch did this: one line that names all of the purchases, or of the requests, that it was done for.

    The task's result has the facts.
    """
    results.count(**facts)
    known = sorted({one for one in ids if one})
    log.info(name, **facts, **{ids_of: known})
    if _spans is not None:
        _spans.members(name, known)


def carry(call: Callable[..., Answer], name: str, trace_id: str) -> Callable[..., Answer]:
    """`call` as work on one purchase, for another thread: what this thread is doing stays on its log
    lines.
    """
    here = contextvars.copy_context()

    def carried(*args: Any) -> Answer:
        with purchase(name, trace_id):
            return call(*args)

    return lambda *args: here.run(carried, *args)


def caller_headers() -> dict[str, str]:
    """What a call of another server says about its cause: the purchase, or else the request, or else the
    task.
    """
    bound = get_contextvars()
    known = next(
        (str(bound[name]) for name in ("trace_id", "request_id", "task_id") if bound.get(name)), None
    )
    return {} if known is None else {"X-Request-ID": known}
