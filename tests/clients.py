"""A buyer's HTTP client."""

from typing import Any

from knox.models import AuthToken
from rest_framework.test import APIClient

from shop.models import Account
from shop.wakeup import settle


class Api(APIClient):
    """Speaks JSON, with the buyer's token if there is one."""

    default_format = "json"

    def __init__(self, account: Account | None = None) -> None:
        super().__init__()
        if account is not None:
            _, token = AuthToken.objects.create(user=account)
            self.credentials(HTTP_AUTHORIZATION=f"Token {token}")

    def request(self, **kwargs: Any) -> Any:
        """Makes a request; returns once its wake-ups are sent, too."""
        response = super().request(**kwargs)
        assert settle()
        return response


def refused(response: Any) -> tuple[int, int, str]:
    """HTTP status, code and slug of a refusal; also checks its envelope."""
    body = response.json()
    assert set(body) == {"code", "error", "msg", "details"}
    assert body["msg"]
    return response.status_code, body["code"], body["error"]


def answered(response: Any, status: int = 200) -> Any:
    """The data of a response; also checks its envelope."""
    body = response.json()
    assert (response.status_code, body["code"], body["msg"], set(body)) == (
        status,
        1000,
        None,
        {"code", "msg", "data"},
    ), body
    return body["data"]
