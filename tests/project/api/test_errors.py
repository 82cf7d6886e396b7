"""The mapping of errors to HTTP."""

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions as drf

from payments import errors as payment_errors
from payments.gateways.protocol import GatewayRejected, GatewayUnreachable, Refusal
from project.api.errors import handle_exception
from shop import errors, valkey


@pytest.mark.parametrize(
    ("raised", "answered"),
    [
        (errors.CartFull(limit=1), errors.CartFull),
        (drf.ValidationError("x"), errors.InvalidInput),
        (drf.ParseError(), errors.InvalidInput),
        (drf.NotAuthenticated(), errors.NotAuthenticated),
        (drf.AuthenticationFailed(), errors.NotAuthenticated),
        (drf.PermissionDenied(), errors.PermissionRefused),
        (PermissionDenied(), errors.PermissionRefused),
        (drf.NotFound(), errors.NotFound),
        (Http404(), errors.NotFound),
        (drf.MethodNotAllowed("PATCH"), errors.MethodNotAllowed),
        (drf.NotAcceptable(), errors.NotAcceptable),
        (drf.UnsupportedMediaType("text/plain"), errors.UnsupportedMediaType),
        (errors.TooManyRequests(retry_after_s=7, limit="x"), errors.TooManyRequests),
        (valkey.Unreachable(), errors.ServiceUnavailable),
        (valkey.Full(), errors.ServiceUnavailable),
        (OperationalError(), errors.ServiceUnavailable),
        (GatewayUnreachable("x"), payment_errors.GatewayUnavailable),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_anticipated_error_has_its_answer(raised: Exception, answered: type[errors.DomainError]) -> None:
    response = handle_exception(raised, {})
    assert response is not None
    assert (response.status_code, response.data["code"], response.data["error"]) == (
        answered.status,
        answered.code,
        answered.slug,
    )
    assert ("Retry-After" in response) is (answered.status in {429, 503})
    assert ("WWW-Authenticate" in response) is (answered.status == 401)


REFUSALS = {
    Refusal.ALREADY_PAID: payment_errors.PaymentAlreadyMade,
    Refusal.TRADE_FINISHED: payment_errors.PaymentAlreadyMade,
    Refusal.TRADE_CLOSED: payment_errors.PaymentClosed,
    Refusal.AMOUNT_OVER_LIMIT: payment_errors.PaymentOverLimit,
    Refusal.BUYER_NOT_ALLOWED: payment_errors.PaymentAccountRefused,
    Refusal.NOT_PERMITTED: payment_errors.PaymentNotPermitted,
}


@pytest.mark.parametrize("is_final", [True, False])
@pytest.mark.parametrize("refusal", Refusal)
def test_proven_refusal_is_never_answered_as_an_outage(refusal: Refusal, is_final: bool) -> None:
    answered = REFUSALS.get(refusal, payment_errors.PaymentRefused)
    response = handle_exception(GatewayRejected(refusal, "ACQ.X", "personal data", is_final=is_final), {})
    assert response is not None
    assert (response.status_code, response.data["error"], "Retry-After" in response) == (
        409,
        answered.slug,
        False,
    )
    assert response.data["details"] == {"refusal": refusal.value, "gateway_code": "ACQ.X"}


def test_anything_else_is_a_bug() -> None:
    assert handle_exception(ZeroDivisionError(), {}) is None


def test_faults_text_stays_inside() -> None:
    response = handle_exception(OperationalError("password=secret"), {})
    assert response is not None
    assert "secret" not in str(response.data)
