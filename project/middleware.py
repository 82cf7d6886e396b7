"""What every request gets: an id, which its log lines and its effects carry, a content security policy, and
`Cache-Control: no-store`.
"""

import re
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware
from django_otp.middleware import OTPMiddleware

from project.api.errors import answer_plain_view, bad_request, not_found
from shop.client_address import client_address, client_network
from shop.request_id import KEY, identify

_SESSION_KEY = re.compile(r"[a-z0-9]{8,40}")
# Everything is loaded from this site, except images: courses may refer to them anywhere. No page has inline
# scripts or styles.
_POLICY = (
    "default-src 'self'; img-src 'self' https: data:; object-src 'none'; frame-ancestors "
    "'none'; base-uri 'none'; form-action 'self' https:"
)
# The API's documentation has inline styles; its scripts are files.
_POLICY_WITH_STYLES = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' https: data:; object-src 'none'; "
    "frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'"
)
# The admin also has inline styles, and Alpine, on which its theme is built, compiles expressions in its pages
# (docs/threat-model.md). Images are loaded from this site only, so no page can leak anything to another host.
_POLICY_OF_ADMIN = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' "
    "data:; object-src 'none'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)


class _Session(SessionMiddleware):
    """Django's middleware, but it ignores a cookie that can't be a session's key: looking it up would fail in
    the database.
    """

    def process_request(self, request: HttpRequest) -> None:
        if not _SESSION_KEY.fullmatch(request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")):
            request.COOKIES.pop(settings.SESSION_COOKIE_NAME, None)
        super().process_request(request)


class ForPagesMiddleware(SessionMiddleware, AuthenticationMiddleware, MessageMiddleware):
    """The middleware of a browser's session, for pages only: the session, its login, the second factor, and
    messages.

    The API needs none of the four. This class has parents only because Django's checks of the admin look for
    them in the settings.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__(get_response)
        self._answer_page = _Session(AuthenticationMiddleware(OTPMiddleware(MessageMiddleware(get_response))))

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request) if _is_api(request) else self._answer_page(request)


class CsrfMiddleware(CsrfViewMiddleware):
    """Creates no CSRF secret for the API, which took 10 of a poll's 180 µs.

    An API view that isn't exempt is still checked, and would refuse every form.
    """

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request) if _is_api(request) else super().__call__(request)


class WellFormedMiddleware:
    """Refuses a NUL in the query, which PostgreSQL can't store in a text, and a length that isn't a number.

    A path with a NUL is answered 404: no URL contains one. Bodies and forms need no check, since their fields
    refuse a NUL, nor do session keys, which `ForPagesMiddleware` checks.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        query, length = request.META.get("QUERY_STRING", ""), request.META.get("CONTENT_LENGTH") or "0"
        if "\x00" in request.path_info:
            return not_found(request, Http404())
        if "%00" in query or "\x00" in query or not (length.isascii() and length.isdigit()):
            return bad_request(request, SuspiciousOperation())
        return self.get_response(request)


class AnswerHeadersMiddleware:
    """Adds to each response the request's id and, unless the view has set them, the content security policy
    and `Cache-Control: no-store`.

    `project/web/admission.py` binds the id to the log lines. Under another server (Django's own, the tests'
    client) it is bound here, and stays bound until the thread's next request: Django logs a refusal only
    after all middleware has returned.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request.META.get(KEY)
        if request_id is None:
            request_id = identify(request.META)
            structlog.contextvars.clear_contextvars()
            structlog.contextvars.bind_contextvars(
                request_id=request_id, address=client_network(client_address(request))
            )
        response = self.get_response(request)
        response.headers["X-Request-ID"] = request_id
        response.headers.setdefault("Content-Security-Policy", _policy_for(request.path))
        response.headers.setdefault("Cache-Control", "no-store")
        return response


class AnticipatedErrorMiddleware:
    """Turns the shop's own errors from views outside DRF into responses. DRF's views have their own hook."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        return answer_plain_view(request, exception)


def _is_api(request: HttpRequest) -> bool:
    """The API has tokens and no sessions."""
    return request.path_info.startswith("/api/v1/")


def _policy_for(path: str) -> str:
    if path.startswith("/admin/"):
        return _POLICY_OF_ADMIN
    return _POLICY_WITH_STYLES if path.startswith("/api/docs/") else _POLICY
