"""What every request gets: an id that its log lines and its effects carry, a content security policy, and no copy in caches."""

import random
import re
from collections.abc import Callable
from typing import Any

import structlog
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse

from project.api.errors import answer_plain_view

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Everything comes from this site; images may also come from the addresses that courses name. No script and no style stands in a page.
_POLICY = (
    "default-src 'self'; img-src 'self' https: data:; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self' https:"
)
# The admin and the API's documentation have styles of their own in the page, and scripts in files only.
_POLICY_WITH_STYLES = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' https: data:; object-src 'none'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'"
)


class _ForPages:
    """The API knows tokens and no cookies: what keeps a browser's session is left out there."""

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        # `super()` is Django's own middleware, the other parent of each class below.
        return self.get_response(request) if request.path_info.startswith("/api/v1/") else super().__call__(request)  # type: ignore[misc]


class SessionForPages(_ForPages, SessionMiddleware):
    """Django's, for pages."""


class AuthenticationForPages(_ForPages, AuthenticationMiddleware):
    """Django's, for pages."""


class MessagesForPages(_ForPages, MessageMiddleware):
    """Django's, for pages."""


class RequestIdMiddleware:
    """Takes a proxy's `X-Request-ID` or mints one, binds it to the log lines, and answers with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")  # `request.headers` would read all of them
        request_id = given if _REQUEST_ID.fullmatch(given) else f"{random.getrandbits(96):024x}"
        request.META["shop.request_id"] = request_id
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class AnticipatedErrorMiddleware:
    """Answers the shop's own errors where a view outside DRF raises them. DRF's views have their own hook."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return answer_plain_view(request, exception)


class AnswerHeadersMiddleware:
    """Says what a browser may load for a page, and that it keeps no copy of an answer unless the view says otherwise."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        has_styles = request.path.startswith(("/api/docs/", "/admin/"))
        response.headers.setdefault("Content-Security-Policy", _POLICY_WITH_STYLES if has_styles else _POLICY)
        response.headers.setdefault("Cache-Control", "no-store")
        return response
