"""Counts requests by route, and how long they took.

A route is the URL pattern that matched, so visitors can't create new series.
"""

import codecs
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import parse_header_parameters
from prometheus_client import Histogram

import shop.metric_files  # noqa: F401 - before any metric is made

Environ = dict[str, Any]

REQUESTS = Histogram(
    "http_request_seconds",
    "Requests by method, route and status, timed from when the body has been read.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Keys of the WSGI environ, in which the parts of the web process pass on data about a request.
BEGAN_AT, ROUTE = "shop.began_at", "shop.route"
SCRAPED = "/metrics"
# The routes of a static file, of an unknown URL, and of a request that Django never saw.
STATIC, UNKNOWN, REFUSED = "(static)", "(unknown)", "(refused)"
# A long poll counts separately: how long it takes depends on when the order changes.
POLL, LONG_POLL = "api/v1/orders/<number:order_number>/", "api/v1/orders/<number:order_number>/?wait"


@lru_cache(maxsize=64)
def _content_type(header: str) -> tuple[str, dict[str, str]]:
    return parse_header_parameters(header)


class _Request(WSGIRequest):
    """Django's request, but it parses each of the few different content types only once.

    Django parses one with parameters, such as that of Alipay's forms, with Python's e-mail parser.
    """

    def _set_content_type_params(self, meta: Environ) -> None:
        self.content_type, self.content_params = _content_type(meta.get("CONTENT_TYPE", ""))
        charset = self.content_params.get("charset")
        if charset is not None:
            with suppress(LookupError):
                codecs.lookup(charset)
                self.encoding = charset


class CountedHandler(WSGIHandler):
    """Django's handler, which also notes the route in the environ, and accepts Prometheus's requests under
    any host name.
    """

    request_class = _Request

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info == SCRAPED:
            request.META["HTTP_HOST"] = urlsplit(settings.PUBLIC_URL).netloc
        response = super().get_response(request)
        match = request.resolver_match
        request.META[ROUTE] = (
            match.route
            if match is not None
            else STATIC
            if request.path_info.startswith("/static/")
            else UNKNOWN
        )
        return response


def make_application() -> CountedHandler:
    """As `django.core.wsgi.get_wsgi_application`."""
    django.setup(set_prefix=False)
    return CountedHandler()


class Counted:
    """A WSGI application around the admission, so that refused requests count, too."""

    def __init__(self, application: Callable[[Environ, Any], Iterable[bytes]]) -> None:
        self._application = application
        # A few hundred at most: the routes, methods and statuses that have occurred.
        self._series: dict[tuple[str, str, str], Any] = {}

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        status = "000"

        def note_status(line: str, headers: Any, *rest: Any) -> Any:
            nonlocal status
            status = line[:3]
            return start_response(line, headers, *rest)

        answer = self._application(environ, note_status)
        key = (environ["REQUEST_METHOD"], _route_of(environ), status)
        series = self._series.get(key)
        if series is None:
            series = self._make_series(*key)
        series.observe(time.monotonic() - environ[BEGAN_AT])
        return answer

    def _make_series(self, method: str, route: str, status: str) -> Any:
        if method not in METHODS:
            return REQUESTS.labels("other", route, status)  # not kept: clients can make up methods
        series = self._series[method, route, status] = REQUESTS.labels(method, route, status)
        return series


def _route_of(environ: Environ) -> str:
    route: str = environ.get(ROUTE, REFUSED)
    return LONG_POLL if route == POLL and "wait=" in environ["QUERY_STRING"] else route
