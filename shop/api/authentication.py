"""Token login: knox's hashed, expiring tokens, looked up in one statement."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from shop import clock
from shop.models import Account


class TokenAuthentication(KnoxAuthentication):  # type: ignore[misc] # knox has no types
    """`Authorization: Token …`. The token's SHA-512 is the row's primary key, so one look-up decides; expired rows are purged elsewhere."""

    def authenticate_credentials(self, token: bytes) -> tuple[Account, AuthToken]:
        try:
            digest = hash_token(token.decode("ascii"))
        except (UnicodeDecodeError, ValueError, TypeError) as error:
            raise AuthenticationFailed from error
        found = AuthToken.objects.select_related("user").filter(digest=digest, expiry__gt=clock.now(), user__is_active=True).first()
        if found is None:
            raise AuthenticationFailed
        return found.user, found


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Documents the header."""

    target_class = "shop.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Token <token>` from `auth/login/`."}


def account_of(request: Request) -> Account:
    """The caller. Only for views that demand a login."""
    assert isinstance(request.user, Account)
    return request.user


def request_id_of(request: Request) -> str:
    """The request's id, as its log lines carry it."""
    request_id: str = request.META["shop.request_id"]
    return request_id
