"""`auth/`: login and logout."""

from typing import Any

from drf_spectacular.utils import extend_schema
from knox.models import AuthToken
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop.api.authentication import digest_of_caller
from shop.api.fields import Input, TextField
from shop.domain.login import log_in
from shop.domain.versions import forget_poller


class LoginInput(Input):
    username = TextField(max_length=150)
    password = TextField(max_length=128, trim_whitespace=False)


class LoginOutput(serializers.Serializer[Any]):
    token = serializers.CharField()
    expiry = serializers.DateTimeField()
    username = serializers.CharField()


class LoginView(APIView):
    """Exchanges a name and a password for a token."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(request=LoginInput, responses=LoginOutput, auth=[])
    def post(self, request: Request) -> Response:
        data = LoginInput.read(request.data)
        account = log_in(**data)
        row, token = AuthToken.objects.create(user=account)
        return Response(LoginOutput({"token": token, "expiry": row.expiry, "username": account.username}).data)


class LogoutView(APIView):
    """Makes the token that is used for this request worthless."""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        request.auth.delete()
        forget_poller(digest_of_caller(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
