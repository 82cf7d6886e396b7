"""Access to the control API and the panel: from this machine only, or with the token."""

import hmac
import ipaddress

from flask import Flask, Response, jsonify, redirect, request
from werkzeug.wrappers import Response as BaseResponse

COOKIE = "simulator_token"


class Access:
    """Guards some of an application's blueprints."""

    def __init__(self, token: str) -> None:
        self._token = token

    def guard(self, app: Flask, blueprints: tuple[str, ...]) -> None:
        @app.before_request
        def check_access() -> BaseResponse | None:
            return self._refuse() if request.blueprint in blueprints else None

    def _refuse(self) -> BaseResponse | None:
        # Cross-site requests are refused: another site's page must not control the simulator through a
        # visitor's browser. Links to the panel work.
        if (
            request.method not in {"GET", "HEAD"}
            and request.headers.get("Sec-Fetch-Site", "none") == "cross-site"
        ):
            return _forbidden("requests from other sites are refused")
        if not self._token:
            return (
                None
                if _is_loopback(request.remote_addr)
                else _forbidden("only this machine may call this; see --control-token")
            )
        given = request.args.get("token", "")
        if given and self._is_right(given):
            # Opens the panel by a link; the browser needs no header afterwards.
            response = redirect(request.path)
            response.set_cookie(COOKIE, given, httponly=True, samesite="Strict")
            return response
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self._is_right(bearer) or self._is_right(request.cookies.get(COOKIE, "")):
            return None
        return _forbidden(
            "send the control token: Authorization: Bearer <token>, or ?token=<token> once in a browser"
        )

    def _is_right(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())


def _is_loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False


def _forbidden(reason: str) -> Response:
    response = jsonify(error=reason)
    response.status_code = 403
    return response
