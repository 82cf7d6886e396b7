"""A log line for each request, for shops whose proxy writes none (`REQUEST_LOG`). Probes are left out."""

from collections.abc import Callable
from time import monotonic

import structlog
from django.http import HttpRequest, HttpResponse

from project.log_lines import public_path
from project.web.admission import PROBES

log = structlog.get_logger(__name__)


class RequestLineMiddleware:
    """In `MIDDLEWARE` only if `REQUEST_LOG` is on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began_at = monotonic()
        response = self.get_response(request)
        if request.path not in PROBES:
            ms = round((monotonic() - began_at) * 1000)
            log.info(
                "request_answered",
                method=request.method,
                path=public_path(request),
                status=response.status_code,
                ms=ms,
            )
        return response
