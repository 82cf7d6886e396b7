"""Spans by OpenTelemetry, for shops that set `OTEL_TRACES_EXPORTER`.

Only `shop/recording.py` and `project/spans.py` import this module, and only for such shops: the packages that
it needs are optional.

A purchase is a trace, and nothing has to be stored for that: the trace's id and the id of its first span
follow from the id of the request that asked for it, which the row carries. Requests and tasks have traces of
their own in the same way; batches are linked to those they worked for.
"""

import hashlib
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from shop import tracing

_HEX = re.compile(r"[0-9a-f]{32}")
_LONGEST_STATEMENT = 2000
# The id of what begins a trace, while its first span is made.
_beginning: ContextVar[str | None] = ContextVar("beginning", default=None)


def start(exporter: str) -> TracerProvider:
    """Records spans from now on and sends them where `exporter` says: "otlp" (set up by OpenTelemetry's own
    variables) or "console".
    """
    return record(_processor(exporter))


def record(processor: SpanProcessor) -> TracerProvider:
    """Records spans from now on and hands them to `processor`."""
    provider = TracerProvider(id_generator=_Ids(), resource=_resource())
    provider.add_span_processor(processor)
    tracing.record_with(OpenTelemetrySpans(provider))
    connection_created.connect(_watch, dispatch_uid="spans")
    for connection in connections.all(initialized_only=True):
        _watch(connection=connection)
    return provider


def _resource() -> Resource:
    """OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES go before our name."""
    return Resource.create({"service.name": "course-shop", **OTELResourceDetector().detect().attributes})


def _processor(exporter: str) -> SpanProcessor:
    if exporter == "console":
        return SimpleSpanProcessor(ConsoleSpanExporter())
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - only where it is asked for

    return BatchSpanProcessor(OTLPSpanExporter())


def trace_id_of(request_id: str) -> int:
    """The trace that belongs to the id of a request or a task: the same digits, if it has 32 of them."""
    digits = request_id.replace("-", "")
    if not _HEX.fullmatch(digits) or not int(digits, 16):
        digits = hashlib.sha256(request_id.encode()).hexdigest()[:32]
    return int(digits, 16)


def first_span_id_of(request_id: str) -> int:
    """The id of the trace's first span."""
    return int(hashlib.sha256(b"first span of " + request_id.encode()).hexdigest()[:16], 16)


class _Ids(RandomIdGenerator):
    def generate_trace_id(self) -> int:
        beginning = _beginning.get()
        return super().generate_trace_id() if beginning is None else trace_id_of(beginning)

    def generate_span_id(self) -> int:
        beginning = _beginning.get()
        return super().generate_span_id() if beginning is None else first_span_id_of(beginning)


class OpenTelemetrySpans:
    """`shop.tracing.Spans`, and what begins a trace."""

    def __init__(self, provider: TracerProvider) -> None:
        self.tracer = provider.get_tracer("shop")
        self.flush = provider.force_flush

    @contextmanager
    def request(self, request_id: str) -> Iterator[Span]:
        """A request of the web process. The caller names the span once the route is known."""
        with self._first(request_id, "request", SpanKind.SERVER) as span:
            yield span

    @contextmanager
    def task(self, name: str, task_id: str) -> Iterator[Span]:
        with self._first(task_id, name, SpanKind.CONSUMER) as span:
            yield span

    @contextmanager
    def step(self, name: str, attributes: dict[str, Any], *, is_call: bool = False) -> Iterator[Span]:
        kind = SpanKind.CLIENT if is_call else SpanKind.INTERNAL
        with self.tracer.start_as_current_span(name, attributes=attributes, kind=kind) as span:
            yield span

    @contextmanager
    def purchase(self, name: str, trace_id: str) -> Iterator[Span]:
        current = trace.get_current_span().get_span_context()
        links = [Link(current)] if current.is_valid else []
        with self.tracer.start_as_current_span(name, context=_context_of(trace_id), links=links) as span:
            yield span

    def members(self, name: str, trace_ids: Collection[str]) -> None:
        batch = trace.get_current_span()
        links = [Link(batch.get_span_context())] if batch.get_span_context().is_valid else []
        began_at = getattr(batch, "start_time", None)
        for trace_id in trace_ids:
            span = self.tracer.start_span(
                name, context=_context_of(trace_id), links=links, start_time=began_at
            )
            span.end()
            batch.add_link(span.get_span_context())

    def annotate(self, attributes: dict[str, Any]) -> None:
        trace.get_current_span().set_attributes(attributes)

    @contextmanager
    def _first(self, beginning: str, name: str, kind: SpanKind) -> Iterator[Span]:
        token = _beginning.set(beginning)
        try:
            span = self.tracer.start_span(name, context=Context(), kind=kind)
        finally:
            _beginning.reset(token)
        with trace.use_span(span, end_on_exit=True):
            yield span


def _context_of(trace_id: str) -> Context:
    """The context of the purchase's first span, which another process has ended by now."""
    if not trace_id:  # an order from before there were ids
        return Context()
    first = SpanContext(
        trace_id_of(trace_id),
        first_span_id_of(trace_id),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(NonRecordingSpan(first), Context())


def _watch(connection: Any, **kwargs: Any) -> None:
    if _record_statement not in connection.execute_wrappers:
        connection.execute_wrappers.append(_record_statement)


def _record_statement(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Records a statement with its placeholders. Parameters aren't recorded: they may be personal data."""
    if not trace.get_current_span().is_recording():
        return execute(sql, params, many, context)
    text = " ".join(str(sql).split())
    about = {"db.system.name": "postgresql", "db.query.text": text[:_LONGEST_STATEMENT]}
    with tracing.call(text.split(" ", 1)[0].upper(), about):
        return execute(sql, params, many, context)


def end_request(span: Span, *, method: str, route: str, status: int) -> None:
    """Names the request's span after its route and records the outcome."""
    span.update_name(f"{method} {route}")
    span.set_attributes(
        {"http.request.method": method, "http.route": route, "http.response.status_code": status}
    )
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))
