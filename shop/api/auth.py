"""`auth/`: login and logout."""

from typing import Any

import structlog
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop import clock
from shop.api.authentication import account_of, digest_of_caller
from shop.api.devicecookie import device_note, remember_device
from shop.api.fields import Input, TextField
from shop.client_address import client_address, client_network
from shop.domain.accounts import tokens
from shop.domain.accounts.login import log_in

log = structlog.get_logger(__name__)


class LoginInput(Input):
    username = TextField(max_length=150)
    password = TextField(max_length=128, trim_whitespace=False)


class LoginOutput(serializers.Serializer[Any]):
    token = serializers.CharField()
    expiry = serializers.DateTimeField()
    username = serializers.CharField()


class LoginView(APIView):
    """Exchanges a username and a password for a token."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(request=LoginInput, responses=LoginOutput, auth=[])
    def post(self, request: Request) -> Response:
        """An account has a limited number of tokens: a new one revokes the oldest.

        The response sets the cookie `device`, by which the next login recognises the device.
        """
        data = LoginInput.read(request.data)
        account = log_in(
            **data, address=client_network(client_address(request)), device_note=device_note(request)
        )
        row, token = tokens.issue_token(account=account, now=clock.database_now())
        response = Response(
            LoginOutput({"token": token, "expiry": row.expiry, "username": account.username}).data
        )
        remember_device(response, request, username=account.username)
        return response


class LogoutView(APIView):
    """Revokes the token that this request uses."""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        tokens.end_token(digest_of_caller(request))
        log.info("logged_out", account=account_of(request).pk, is_for_staff=False)
        return Response(status=status.HTTP_204_NO_CONTENT)


class LogoutEverywhereView(APIView):
    """Revokes every token of the account, on all devices."""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        tokens.end_logins([account_of(request).pk])
        log.info("logged_out_everywhere", account=account_of(request).pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
