"""Where errors become HTTP responses: one mapping for the shop's own errors and DRF's.

An unanticipated error is a 500 in the same envelope. Below /api/ every response is JSON; elsewhere people get
a page with links.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext
from rest_framework import exceptions as drf
from rest_framework.response import Response
from rest_framework.views import set_rollback

from payments import errors as payment_errors
from payments.gateways.protocol import GatewayError, GatewayRejected, Refusal
from shop import errors, valkey
from shop.api.wire import DEPENDENCY_S, ErrorOutput, as_builtins, error_body, retry_after, written

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
    (RequestDataTooBig, errors.BodyTooLarge),
)
# What each signed refusal by the gateway means to the buyer. Retrying soon helps with none of them.
_REFUSALS: Mapping[Refusal, type[errors.DomainError]] = {
    Refusal.ALREADY_PAID: payment_errors.PaymentAlreadyMade,
    Refusal.TRADE_FINISHED: payment_errors.PaymentAlreadyMade,
    Refusal.TRADE_CLOSED: payment_errors.PaymentClosed,
    Refusal.AMOUNT_OVER_LIMIT: payment_errors.PaymentOverLimit,
    Refusal.BUYER_NOT_ALLOWED: payment_errors.PaymentAccountRefused,
    Refusal.NOT_PERMITTED: payment_errors.PaymentNotPermitted,
    Refusal.UNKNOWN_TRADE: payment_errors.PaymentRefused,
    Refusal.WRONG_STATE: payment_errors.PaymentRefused,
    Refusal.REFUND_OVER_AMOUNT: payment_errors.PaymentRefused,
    Refusal.REFUND_DISCORDANT: payment_errors.PaymentRefused,
    Refusal.INSUFFICIENT_FUNDS: payment_errors.PaymentRefused,
    Refusal.INVALID_REQUEST: payment_errors.PaymentRefused,
    Refusal.NO_BILL: payment_errors.PaymentRefused,  # no buyer asks for bills
    Refusal.OTHER: payment_errors.PaymentRefused,
}


def body_of(error: errors.DomainError) -> ErrorOutput:
    """An error's envelope, its message in the request's language."""
    return error_body(error.slug, gettext(error.text), error.details)


def handle_exception(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's hook. None for an unanticipated exception, which then becomes a 500."""
    error = _domain_error(exc)
    if error is None:
        return None
    set_rollback()
    # Not every renderer is ours: the schema is written as YAML.
    return Response(as_builtins(body_of(error)), status=error.status, headers=headers_of(error))


def headers_of(error: errors.DomainError) -> dict[str, str]:
    """The headers that belong to an error: `Retry-After` or `WWW-Authenticate`, if any."""
    if error.retry_after_s is not None:
        return retry_after(error.retry_after_s)
    match error.status:
        case 429 | 503:
            return retry_after(DEPENDENCY_S)
        case 401:
            return {"WWW-Authenticate": "Token"}
        case _:
            return {}


def _domain_error(exc: Exception) -> errors.DomainError | None:
    match exc:
        case errors.DomainError():
            return exc
        case drf.ValidationError():
            return errors.InvalidInput(fields=exc.detail)
        case drf.ParseError():
            return errors.InvalidInput(reason=str(exc.detail))
        case valkey.Unreachable() | OperationalError() | GatewayError():
            return _dependency_error(exc)
        case _:
            return next((ours() for known, ours in _DRF if isinstance(exc, known)), None)


def _dependency_error(exc: valkey.Unreachable | OperationalError | GatewayError) -> errors.DomainError:
    match exc:
        case GatewayRejected():
            log.warning("gateway_refused", refusal=exc.refusal.value, code=exc.code, is_final=exc.is_final)
            return _REFUSALS[exc.refusal](refusal=exc.refusal.value, gateway_code=exc.code)
        case valkey.Full():
            # Valkey has no room for carts and checkouts. Orders and payments don't need it.
            log.error("valkey_full", error=str(exc), alert=True)
            return errors.ServiceUnavailable()
        case _:
            log.warning("dependency_failed", error=f"{type(exc).__name__}: {exc}")
            return (
                payment_errors.GatewayUnavailable()
                if isinstance(exc, GatewayError)
                else errors.ServiceUnavailable()
            )


def answer_plain_view(request: HttpRequest, exc: Exception) -> HttpResponse | None:
    """The response to an exception in a view outside DRF; None if the exception isn't anticipated."""
    error = _domain_error(exc)
    return None if error is None else _answer(request, error)


def _answer(request: HttpRequest, error: errors.DomainError) -> HttpResponse:
    """JSON for programs, below /api/; a page for people everywhere else."""
    if request.path.startswith("/api/"):
        return HttpResponse(
            written(body_of(error)),
            content_type="application/json",
            status=error.status,
            headers=headers_of(error),
        )
    # Rendered without the request, so no context processor can fail a second time.
    page = render_to_string("storefront/error.html", {"status": error.status, "text": gettext(error.text)})
    return HttpResponse(page, status=error.status, headers=headers_of(error))


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    return _answer(request, errors.InvalidInput())


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return _answer(request, errors.NotFound())


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    return _answer(request, errors.PermissionRefused())


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500."""
    return _answer(request, errors.InternalError())
