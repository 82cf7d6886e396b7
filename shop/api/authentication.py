"""Token login: knox's hashed, expiring tokens, looked up in one statement."""

from contextlib import suppress
from typing import Any

from django.db import connection
from django.http import HttpRequest
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.models import AuthToken
from rest_framework import HTTP_HEADER_ENCODING
from rest_framework.request import Request

from shop import clock
from shop.domain.callers import TokenDigest, digest_of, find_caller
from shop.errors import NotAuthenticated
from shop.models import Account
from shop.request_id import KEY


class TokenAuthentication(KnoxAuthentication):  # type: ignore[misc] # knox has no types
    """`Authorization: Token …`. Only the account's id is known at first; Django loads any other column on
    first access.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[Account, AuthToken]:
        digest = digest_of(token)
        account_id = find_caller(digest, now=clock.now())
        return Account.from_db(connection.alias, ["id"], [account_id]), AuthToken.from_db(
            connection.alias, ["digest"], [digest]
        )


def digest_in(request: HttpRequest) -> TokenDigest | None:
    """The digest of the token in the request's header, without looking it up; None if the header is missing
    or malformed.
    """
    header: str = request.META.get("HTTP_AUTHORIZATION", "")  # `request.headers` would parse every header
    match header.encode(HTTP_HEADER_ENCODING).split():
        case [scheme, token] if scheme.lower() == b"token":
            with suppress(NotAuthenticated):
                return digest_of(token)
    return None


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Documents the header."""

    target_class = "shop.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token <token>` from `auth/login/`.",
        }


def account_of(request: Request) -> Account:
    """The caller's account. Only for views that require authentication."""
    assert isinstance(request.user, Account)
    return request.user


def digest_of_caller(request: Request) -> TokenDigest:
    """The digest of the caller's token. Only for views that require authentication."""
    digest = digest_in(request._request)
    assert digest is not None
    return digest


def request_id_of(request: HttpRequest | Request) -> str:
    """The request's id, as in its log lines."""
    request_id: str = request.META[KEY]
    return request_id
