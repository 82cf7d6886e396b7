"""Calls Alipay through python-alipay-sdk: the only module that imports it, and where its defects are worked
around.

The SDK builds and orders the parameters. RSA runs through OpenSSL (the same bytes, 4 to 14 times faster),
calls use keep-alive connections and have a total deadline, and an answer counts only if its signature covers
it.
"""

import base64
import binascii
import json
import logging.config
import re
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from payments.gateways.alipay import keys, refusals
from payments.gateways.alipay.config import AlipayConfig
from payments.gateways.alipay.connections import Connections
from payments.gateways.alipay.wire import BEIJING
from payments.gateways.call_limits import CallLimits
from payments.gateways.measuring import gateway_call
from payments.gateways.protocol import GatewayLimited, GatewayUnreachable, GatewayUnsigned
from shop.tracing import caller_headers


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """Keeps the SDK from configuring logging: on import it would close every handler of the process."""
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None  # noqa: ARG005 - called by that name
    try:
        yield
    finally:
        logging.config.dictConfig = configure


with _logging_left_alone():
    from alipay import AliPay, AliPayConfig
    from alipay.exceptions import AliPayException, AliPayValidationError

MAX_ANSWER_BYTES = 50_000_000  # a day's bill; other answers are a few kilobytes
# Nobody waits for a bill, and it may be large, so its download may take longer than ALIPAY_TIMEOUT_S. Its
# link expires after 30 s.
DOWNLOAD_S = 25
_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class AlipayClient(AliPay):  # type: ignore[misc] # the SDK has no types
    """The SDK with its defects fixed: any gateway URL, OpenSSL, several public keys, a total deadline, braces
    in texts.
    """

    def __init__(self, config: AlipayConfig, limits: CallLimits | None = None) -> None:
        self._limits = limits or CallLimits()
        self._openssl_private_key = config.app_private_key
        self._openssl_public_keys = {keys.fingerprint(key): key for key in config.alipay_public_keys}
        private_pem = config.app_private_key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
        public_pem = config.alipay_public_keys[0].public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        super().__init__(
            appid=config.app_id,
            app_notify_url=config.notify_url,
            app_private_key_string=private_pem.decode(),
            alipay_public_key_string=public_pem.decode(),
            sign_type="RSA2",
            config=AliPayConfig(timeout=config.timeout_s),
        )
        self._gateway = config.gateway_url
        self._connections = Connections(config.timeout_s)
        weakref.finalize(self, self._connections.close)  # closed with the client

    @property
    def gateway_url(self) -> str:
        return self._gateway

    def call(self, method: str, content: Mapping[str, Any], **parameters: str) -> dict[str, Any]:
        """Sends a signed request; returns the verified answer, which has code 10000.

        Raises:
            GatewayRejected: a signed refusal, for business reasons or before any processing.
            GatewayLimited: there were too many calls; the pace is reduced.
            GatewayUnreachable: anything else; whether Alipay carried it out is unknown.
        """
        with gateway_call(method, _about(content), silences=_SILENCES):
            return self._call(method, content, **parameters)

    def _call(self, method: str, content: Mapping[str, Any], **parameters: str) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.server_api(method, dict(content), **parameters)
        except AliPayValidationError as error:
            raise GatewayUnreachable("the answer's signature is wrong") from error
        except AliPayException as error:
            codes = _codes_of(error)
            said = f"unsigned error {' '.join(filter(None, codes))}".strip()
            # Unsigned, but a forger gains only a pause, which dropping the answer would give them as well.
            if refusals.is_limit_of_calls(*codes):
                self._limits.limited()
                raise GatewayUnreachable(said) from None
            raise GatewayUnsigned(said) from None
        except (httpx.HTTPError, OSError, ValueError, TypeError, AttributeError) as error:
            # Transport errors, invalid JSON, invalid base64 (binascii.Error is a ValueError), a JSON null.
            raise GatewayUnreachable(f"{type(error).__name__}") from error
        if answer.get("code") == "10000":
            return answer
        code, sub_code = str(answer.get("code", "")), str(answer.get("sub_code", ""))
        if refusals.is_limit_of_calls(code, sub_code):
            self._limits.limited()
            raise GatewayLimited(f"code {code} {sub_code}")
        if rejection := refusals.find_rejection(code, sub_code, str(answer.get("sub_msg", ""))):
            raise rejection
        raise GatewayUnreachable(f"code {code} {sub_code}")

    def download(self, url: str) -> bytes:
        """The content at `url`.

        Raises:
            GatewayUnreachable
        """
        with gateway_call("bill.download", silences=_SILENCES):
            return self._download(url)

    def _download(self, url: str) -> bytes:
        try:
            return self._fetch_bytes(url, within_s=DOWNLOAD_S)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise GatewayUnreachable(type(error).__name__) from error

    def find_signing_key(self, text: str, signature: str) -> str | None:
        """The fingerprint of the configured Alipay key that signed this text; None if none did."""
        try:
            decoded = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return None
        content = text.encode()
        return next(
            (
                name
                for name, key in self._openssl_public_keys.items()
                if keys.is_signed_by(key, decoded, content)
            ),
            None,
        )

    def _sign(self, unsigned_string: str) -> str:
        return base64.b64encode(keys.sign(self._openssl_private_key, unsigned_string.encode())).decode()

    def _verify(self, raw_content: str, signature: str) -> bool:
        return self.find_signing_key(raw_content, signature) is not None

    def build_body(self, method: str, biz_content: Any = None, **kwargs: Any) -> dict[str, Any]:
        """Replaces the timestamp: the SDK uses local time, but Alipay expects Beijing time."""
        body: dict[str, Any] = super().build_body(method, biz_content, **kwargs)
        body["timestamp"] = datetime.now(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
        return body

    def verified_sync_response(self, data: Any, response_type: str) -> Any:
        return self._verify_and_return_sync_response(
            self._fetch(f"{self._gateway}?{self.sign_data(data)}"), response_type
        )

    def _fetch(self, url: str) -> str:
        return self._fetch_bytes(url, within_s=self._config.timeout).decode()

    def _fetch_bytes(self, url: str, *, within_s: float) -> bytes:
        """The content at `url`, read completely within `within_s` seconds. Redirects aren't followed: a
        signed request is for this gateway only.
        """
        with self._limits.call(silences=_SILENCES):
            deadline = time.monotonic() + within_s
            received = bytearray()
            with (
                self._connections.lend() as http,
                http.stream("GET", url, headers=caller_headers()) as answer,
            ):
                if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                    self._limits.limited()
                if answer.status_code != httpx.codes.OK:
                    raise ConnectionError(f"HTTP {answer.status_code}")
                for chunk in answer.iter_raw():
                    received += chunk
                    if time.monotonic() > deadline:
                        raise TimeoutError("the answer arrives too slowly")
                    if len(received) > MAX_ANSWER_BYTES:
                        raise ValueError("the answer is too large")
        return bytes(received)

    def _get_string_to_be_signed(self, raw_string: str, response_type: str) -> str:
        """Finds the signed part with a JSON parser. The SDK counts braces and fails on one inside a text."""
        key = json.dumps(response_type)
        start = raw_string.index("{", raw_string.index(key) + len(key))
        _, end = json.JSONDecoder().raw_decode(raw_string, start)
        return raw_string[start:end]


# No connection, or no answer in time. A malformed answer is an answer.
_SILENCES = (httpx.TimeoutException, httpx.ConnectError, TimeoutError)


def _about(content: Mapping[str, Any]) -> dict[str, str]:
    """The trade and the refund that a call is about. Nothing else of its content belongs in a log."""
    return {name: str(content[name]) for name in ("out_trade_no", "out_request_no") if name in content}


def _codes_of(error: AliPayException) -> tuple[str, str]:
    """Code and sub-code of an unsigned error. The rest of the raw answer doesn't belong in a log."""
    try:
        parts = json.loads(getattr(error, "_AliPayException__message", ""))
    except (TypeError, ValueError):
        return "", ""
    answer = (
        next((part for part in parts.values() if isinstance(part, dict)), {})
        if isinstance(parts, dict)
        else {}
    )
    code, sub_code = (str(answer.get(name, "")) for name in ("code", "sub_code"))
    return code if _CODE.fullmatch(code) else "", sub_code if _CODE.fullmatch(sub_code) else ""
