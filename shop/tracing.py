"""One id per purchase: all work for a purchase carries the id of the request that placed it.

Log lines always carry it. With `OTEL_TRACES_EXPORTER` it is also the id of a trace: `shop/recording.py` then
passes spans to OpenTelemetry. Without that setting no span is opened here.
"""

import contextvars
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, TypeVar

import structlog
from structlog.contextvars import bound_contextvars, get_contextvars

from shop import results

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")
_NO_SPAN: AbstractContextManager[None] = nullcontext()


class Spans(Protocol):
    """What records spans, if the shop is configured to have any."""

    def step(
        self, name: str, attributes: dict[str, Any], *, is_call: bool = False
    ) -> AbstractContextManager[Any]:
        """A step of the current work: a child of the current span."""

    def purchase(self, name: str, trace_id: str) -> AbstractContextManager[Any]:
        """Work on one purchase: a span in the purchase's trace, linked to the current span."""

    def members(self, name: str, trace_ids: Collection[str]) -> None:
        """Work of a batch on these purchases: a span in each one's trace, with the current span's start and a
        link to it.
        """

    def task(self, name: str, task_id: str) -> AbstractContextManager[Any]:
        """A task: a trace of its own, since it works on many purchases."""

    def annotate(self, attributes: dict[str, Any]) -> None:
        """Adds attributes to the current span."""

    def flush(self) -> object:
        """Exports what has been recorded."""


_spans: Spans | None = None


def record_with(spans: Spans | None) -> None:
    """Records spans with `spans` from now on; None turns recording off."""
    global _spans  # noqa: PLW0603 - one for each process
    _spans = spans


def flush() -> None:
    """Exports the spans recorded so far. For processes that are about to end."""
    if _spans is not None:
        _spans.flush()


def recorder() -> Spans | None:
    """What spans are recorded with; None if they aren't."""
    return _spans


def task(name: str, task_id: str) -> AbstractContextManager[Any]:
    """A task of a worker."""
    return _NO_SPAN if _spans is None else _spans.task(name, task_id)


def step(name: str, **attributes: Any) -> AbstractContextManager[Any]:
    """A span for a step of the current request or task."""
    return _NO_SPAN if _spans is None else _spans.step(name, attributes)


def call(name: str, about: dict[str, Any]) -> AbstractContextManager[Any]:
    """A span for a call to another server."""
    return _NO_SPAN if _spans is None else _spans.step(name, about, is_call=True)


def annotate(**facts: Any) -> None:
    """Adds attributes to the current span."""
    if _spans is not None:
        _spans.annotate(facts)


@contextmanager
def purchase(name: str, trace_id: str) -> Iterator[None]:
    """Marks a block as work on one purchase: its id is on the block's log lines and is sent along with calls
    to the gateway.
    """
    with (
        bound_contextvars(trace_id=trace_id),
        _NO_SPAN if _spans is None else _spans.purchase(name, trace_id),
    ):
        yield


def batch_did(
    name: str, ids: Collection[str], facts: Mapping[str, int], *, ids_of: str = "trace_ids"
) -> None:
    """Records what a batch did: one log line with the ids of all purchases, or requests, that it was done
    for.

    `facts` are also added to the task's result.
    """
    results.count(**facts)
    known = sorted({one for one in ids if one})
    log.info(name, **facts, **{ids_of: known})
    if _spans is not None:
        _spans.members(name, known)


def carry(call: Callable[..., Answer], name: str, trace_id: str) -> Callable[..., Answer]:
    """Wraps `call` as work on one purchase in another thread; its log lines keep this thread's context."""
    here = contextvars.copy_context()

    def carried(*args: Any) -> Answer:
        with purchase(name, trace_id):
            return call(*args)

    return lambda *args: here.run(carried, *args)


def caller_headers() -> dict[str, str]:
    """The header that tells another server the cause of a call: the id of the purchase, request or task, the
    first that is known.
    """
    bound = get_contextvars()
    known = next(
        (str(bound[name]) for name in ("trace_id", "request_id", "task_id") if bound.get(name)), None
    )
    return {} if known is None else {"X-Request-ID": known}
