"""Where errors become HTTP: one mapping for the shop's own and for DRF's. What isn't anticipated is a 500 with the same envelope."""

from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import set_rollback

from shop import errors, valkey

log = structlog.get_logger(__name__)

_DRF: tuple[tuple[type[Exception], type[errors.DomainError]], ...] = (
    (drf.NotAuthenticated, errors.NotAuthenticated),
    (drf.AuthenticationFailed, errors.NotAuthenticated),
    (drf.PermissionDenied, errors.PermissionRefused),
    (PermissionDenied, errors.PermissionRefused),
    (drf.NotFound, errors.NotFound),
    (Http404, errors.NotFound),
    (drf.MethodNotAllowed, errors.MethodNotAllowed),
    (drf.NotAcceptable, errors.NotAcceptable),
    (drf.UnsupportedMediaType, errors.UnsupportedMediaType),
    (drf.Throttled, errors.TooManyRequests),
    (drf.ParseError, errors.InvalidInput),
    (RequestDataTooBig, errors.BodyTooLarge),
)
_RETRY_AFTER_S = "2"


def body_of(error: errors.DomainError) -> dict[str, Any]:
    """An error's envelope."""
    return {"code": error.code, "error": error.slug, "msg": error.text, "details": dict(error.details)}


def handle_exception(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's hook. None means that the exception isn't anticipated and goes on to be a 500."""
    error = _domain_error(exc)
    if error is None:
        return None
    set_rollback()
    response = Response(body_of(error), status=error.status)
    if error.status in {429, 503}:
        response["Retry-After"] = _RETRY_AFTER_S
    if error.status == 401:
        response["WWW-Authenticate"] = "Token"
    return response


def _domain_error(exc: Exception) -> errors.DomainError | None:
    if isinstance(exc, errors.DomainError):
        return exc
    if isinstance(exc, drf.ValidationError):
        return errors.InvalidInput(fields=exc.detail)
    if isinstance(exc, drf.ParseError):
        return errors.InvalidInput(reason=str(exc.detail))
    if isinstance(exc, valkey.Unreachable | OperationalError):
        log.warning("dependency_unreachable", error=f"{type(exc).__name__}: {exc}")
        return errors.ServiceUnavailable()
    for known, ours in _DRF:
        if isinstance(exc, known):
            return ours()
    return None


def _answer(error: errors.DomainError) -> JsonResponse:
    return JsonResponse(body_of(error), status=error.status, json_dumps_params={"ensure_ascii": False})


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's handler400."""
    return _answer(errors.InvalidInput())


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's handler404."""
    return _answer(errors.NotFound())


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    """Django's handler403."""
    return _answer(errors.PermissionRefused())


def server_error(request: HttpRequest) -> JsonResponse:
    """Django's handler500."""
    return _answer(errors.InternalError())
