"""A span for each request. In `MIDDLEWARE` only while spans are recorded, so it costs nothing otherwise."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from shop import telemetry, tracing
from shop.request_id import identify


class SpanMiddleware:
    """Records the root span of the request's trace."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        spans = tracing.recorder()
        assert isinstance(spans, telemetry.OpenTelemetrySpans)
        with spans.request(identify(request.META)) as span:
            response = self.get_response(request)
            match = request.resolver_match
            telemetry.end_request(
                span,
                method=str(request.method),
                route=match.route if match else "",
                status=response.status_code,
            )
        return response
