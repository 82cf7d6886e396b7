"""Alipay through python-alipay-sdk: the only module that imports it, and the place where all its traps are closed.

The SDK builds and orders the parameters; RSA runs through OpenSSL (the same bytes, 4 to 14 times faster), the HTTP call has a
total deadline, and an answer counts only when its signature covers it and it is about what was asked.
"""

import base64
import binascii
import http.client
import json
import logging.config
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from cryptography.exceptions import InvalidSignature as OpenSSLInvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from django.conf import settings

from payments.gateways.protocol import (
    GatewayRejected,
    GatewayUnreachable,
    InvalidSignature,
    PaymentIntent,
    RefundIntent,
    TradeReport,
    TradeStatus,
)
from shop.errors import GatewayNotConfigured
from shop.money import ZERO


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """The SDK configures the process's logging when it is imported, which closes every handler; that call is swallowed here."""
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None  # noqa: ARG005 - called by that name
    try:
        yield
    finally:
        logging.config.dictConfig = configure


with _logging_left_alone():
    from alipay import AliPay, AliPayConfig
    from alipay.exceptions import AliPayException, AliPayValidationError

BEIJING = ZoneInfo("Asia/Shanghai")
MAX_ANSWER_BYTES = 50_000_000  # a day's bill; other answers are a few kilobytes
_SIGNATURE = re.compile(r"[A-Za-z0-9+/]{342}==")
_AMOUNT = re.compile(r"\d{1,9}(\.\d{1,2})?")
_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,3})?")
# Values are signed unescaped, joined by & and =: a field that may hold neither can't have swallowed its neighbour.
_FIELDS = {
    "app_id": re.compile(r"\d{1,32}"),
    "seller_id": re.compile(r"\d{1,32}"),
    "trade_no": re.compile(r"[A-Za-z0-9_]{1,64}"),
    "out_trade_no": re.compile(r"[A-Za-z0-9_]{1,64}"),
    "trade_status": re.compile(r"[A-Z_]{1,32}"),
    "total_amount": _AMOUNT,
    "notify_time": _TIME,
    "notify_type": re.compile(r"[a-z_]{1,64}"),
    "notify_id": re.compile(r"[A-Za-z0-9_-]{1,128}"),
    "refund_fee": _AMOUNT,
    "send_back_fee": _AMOUNT,
    "receipt_amount": _AMOUNT,
    "buyer_pay_amount": _AMOUNT,
    "invoice_amount": _AMOUNT,
    "point_amount": _AMOUNT,
    "gmt_create": _TIME,
    "gmt_payment": _TIME,
    "gmt_close": _TIME,
    "gmt_refund": _TIME,
    "out_biz_no": re.compile(r"[A-Za-z0-9_-]{1,64}"),
    "charset": re.compile(r"[A-Za-z0-9-]{1,16}"),
    "version": re.compile(r"[0-9.]{1,8}"),
    "auth_app_id": re.compile(r"\d{1,32}"),
    "buyer_id": re.compile(r"\d{1,32}"),
    "timestamp": _TIME,
    "method": re.compile(r"[a-z.]{1,64}"),
}
# Both hold nothing, so one of each serves all signatures.
_PADDING, _DIGEST = PKCS1v15(), SHA256()
_NOTIFICATION_NEEDS = ("app_id", "seller_id", "trade_no", "out_trade_no", "trade_status", "total_amount", "notify_id", "notify_time")
_RETURN_NEEDS = ("app_id", "seller_id", "out_trade_no", "total_amount")


@dataclass(frozen=True, slots=True)
class AlipayConfig:
    """One merchant's app at one gateway. `buyer_gateway_url` is where browsers find it; `alipay_public_keys` are several while Alipay's key
    is being rotated."""

    gateway_url: str
    buyer_gateway_url: str
    app_id: str
    seller_id: str
    app_private_key: RSAPrivateKey
    alipay_public_keys: Sequence[RSAPublicKey]
    notify_url: str
    return_url: str
    timeout_s: int


class AlipayGateway:
    """See `payments.gateways.protocol.Gateway`. Stateless once built, so threads may share it."""

    name = "alipay"

    def __init__(self, config: AlipayConfig) -> None:
        self.app_id = config.app_id
        self.seller_id = config.seller_id
        self._return_url = config.return_url
        self._notify_url = config.notify_url
        self._buyer_gateway_url = config.buyer_gateway_url
        self._client = _Client(config)

    @classmethod
    def from_settings(cls) -> Self:
        """The gateway that `settings.ALIPAY` describes.

        Raises:
            GatewayNotConfigured: something is missing, or a key file can't be read.
        """
        config: dict[str, Any] = settings.ALIPAY
        missing = [name for name in ("GATEWAY_URL", "APP_ID", "SELLER_ID", "APP_PRIVATE_KEY_PATH", "PUBLIC_KEY_PATHS") if not config[name]]
        if missing:
            raise GatewayNotConfigured(missing=[f"ALIPAY_{name}" for name in missing])
        try:
            private_key = read_private_key(Path(config["APP_PRIVATE_KEY_PATH"]))
            public_keys = [read_public_key(Path(path)) for path in config["PUBLIC_KEY_PATHS"]]
        except (OSError, ValueError) as error:
            raise GatewayNotConfigured(missing=["ALIPAY_APP_PRIVATE_KEY_PATH", "ALIPAY_PUBLIC_KEY_PATHS"]) from error
        return cls(
            AlipayConfig(
                gateway_url=config["GATEWAY_URL"],
                buyer_gateway_url=config["BUYER_GATEWAY_URL"],
                app_id=config["APP_ID"],
                seller_id=config["SELLER_ID"],
                app_private_key=private_key,
                alipay_public_keys=public_keys,
                notify_url=config["NOTIFY_URL"],
                return_url=config["RETURN_URL"],
                timeout_s=config["TIMEOUT_S"],
            )
        )

    def page_url(self, intent: PaymentIntent) -> str:
        query: str = self._client.api_alipay_trade_page_pay(
            subject=plain_subject(intent.subject),
            out_trade_no=intent.out_trade_no,
            total_amount=f"{intent.amount:.2f}",
            return_url=self._return_url,
            time_expire=beijing_time(intent.expires_at),
        )
        return f"{self._buyer_gateway_url}?{query}"

    def wap_url(self, intent: PaymentIntent) -> str:
        query: str = self._client.api_alipay_trade_wap_pay(
            subject=plain_subject(intent.subject),
            out_trade_no=intent.out_trade_no,
            total_amount=f"{intent.amount:.2f}",
            return_url=self._return_url,
            time_expire=beijing_time(intent.expires_at),
            product_code="QUICK_WAP_WAY",  # the SDK sends an older name
        )
        return f"{self._buyer_gateway_url}?{query}"

    def app_order_string(self, intent: PaymentIntent) -> str:
        query: str = self._client.api_alipay_trade_app_pay(
            subject=plain_subject(intent.subject),
            out_trade_no=intent.out_trade_no,
            total_amount=f"{intent.amount:.2f}",
            time_expire=beijing_time(intent.expires_at),
        )
        return query

    def create_qr(self, intent: PaymentIntent) -> str:
        answer = self._call(
            "alipay.trade.precreate",
            {
                "subject": plain_subject(intent.subject),
                "out_trade_no": intent.out_trade_no,
                "total_amount": f"{intent.amount:.2f}",
                "time_expire": beijing_time(intent.expires_at),
                "product_code": "QR_CODE_OFFLINE",
            },
            notify_url=self._notify_url,
        )
        _must_be_about(answer, out_trade_no=intent.out_trade_no)
        return str(answer["qr_code"])

    def close(self, out_trade_no: str) -> None:
        try:
            answer = self._call("alipay.trade.close", {"out_trade_no": out_trade_no})
        except GatewayRejected as refusal:
            if refusal.reason != "ACQ.TRADE_NOT_EXIST":
                raise
            return
        _must_be_about(answer, out_trade_no=out_trade_no)

    def refund(self, intent: RefundIntent) -> bool:
        answer = self._call(
            "alipay.trade.refund",
            {
                "out_trade_no": intent.out_trade_no,
                "out_request_no": intent.out_request_no,
                "refund_amount": f"{intent.amount:.2f}",
                "refund_reason": plain_subject(intent.reason),
            },
        )
        _must_be_about(answer, out_trade_no=intent.out_trade_no)
        # Code 10000 is "taken". An identical repeat answers N, also after the money has moved.
        return answer.get("fund_change") == "Y"

    def query_refund(self, intent: RefundIntent) -> bool:
        answer = self._call(
            "alipay.trade.fastpay.refund.query", {"out_trade_no": intent.out_trade_no, "out_request_no": intent.out_request_no}
        )
        if "out_request_no" not in answer:
            return False  # 10000 with nothing in it: Alipay has no such refund (yet)
        _must_be_about(answer, out_trade_no=intent.out_trade_no, out_request_no=intent.out_request_no)
        if answer.get("refund_status") not in {None, "", "REFUND_SUCCESS"} or not _AMOUNT.fullmatch(str(answer.get("refund_amount", ""))):
            return False
        if Decimal(answer["refund_amount"]) != intent.amount:
            raise GatewayUnreachable("the refund at Alipay has another amount")
        return True

    def download_bill(self, day: date) -> bytes:
        answer = self._call("alipay.data.dataservice.bill.downloadurl.query", {"bill_type": "trade", "bill_date": day.isoformat()})
        url = str(answer.get("bill_download_url", ""))
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not _is_alipays(parts.hostname or "", self._client.gateway_url):
            raise GatewayUnreachable("the bill's address isn't Alipay's")
        try:
            return self._client.fetch_bytes(url)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise GatewayUnreachable(type(error).__name__) from error

    def query(self, out_trade_no: str) -> TradeReport | None:
        try:
            answer = self._call("alipay.trade.query", {"out_trade_no": out_trade_no})
        except GatewayRejected as refusal:
            if refusal.reason == "ACQ.TRADE_NOT_EXIST":
                return None
            raise
        _must_be_about(answer, out_trade_no=out_trade_no)
        try:
            return self._report(answer, app_id=self.app_id, seller_id=None)
        except InvalidSignature as error:
            raise GatewayUnreachable(str(error)) from error

    def verify_notification(self, form: Mapping[str, str]) -> TradeReport:
        self._verify_form(form, needs=_NOTIFICATION_NEEDS)
        if form.get("notify_type") != "trade_status_sync":
            raise InvalidSignature("not a notification about a trade")
        return self._report(form, app_id=form["app_id"], seller_id=form["seller_id"])

    def verify_return(self, form: Mapping[str, str]) -> str:
        self._verify_form(form, needs=_RETURN_NEEDS)
        return form["out_trade_no"]

    def _verify_form(self, form: Mapping[str, str], *, needs: Sequence[str]) -> None:
        # The algorithm is ours to choose, never the message's; a missing sign_type counts as another one.
        if form.get("sign_type") != "RSA2":
            raise InvalidSignature("sign_type is not RSA2")
        signature = form.get("sign", "")
        if not _SIGNATURE.fullmatch(signature):
            raise InvalidSignature("sign is not the base64 of an RSA-2048 signature")
        if not self._client.verify_text(_signed_text(form), signature):
            raise InvalidSignature("the signature is wrong")
        for name in needs:
            if not form.get(name):
                raise InvalidSignature(f"{name} is missing")
        for name, value in form.items():
            if value and (pattern := _FIELDS.get(name)) and not pattern.fullmatch(value):
                raise InvalidSignature(f"{name} is not formed as Alipay forms it")

    def _report(self, fields: Mapping[str, Any], *, app_id: str | None, seller_id: str | None) -> TradeReport:
        try:
            return TradeReport(
                out_trade_no=fields["out_trade_no"],
                trade_no=fields["trade_no"],
                status=TradeStatus(fields["trade_status"]),
                total_amount=Decimal(fields["total_amount"]).quantize(Decimal("0.01")),
                app_id=app_id,
                seller_id=seller_id,
                paid_at=from_beijing_time(fields.get("gmt_payment") or fields.get("send_pay_date")),
                refunded=Decimal(fields.get("refund_fee") or ZERO),
            )
        except (KeyError, ValueError, ArithmeticError) as error:
            raise InvalidSignature(f"not a trade as Alipay describes one: {error!r}") from error

    def _call(self, method: str, content: Mapping[str, str], **parameters: str) -> dict[str, Any]:
        """A signed request and its proven answer with code 10000.

        Raises:
            GatewayRejected: a proven business refusal (code 40004).
            GatewayUnreachable: anything else; whether Alipay did it is unknown.
        """
        try:
            answer: dict[str, Any] = self._client.server_api(method, dict(content), **parameters)
        except AliPayValidationError as error:
            raise GatewayUnreachable("the answer's signature is wrong") from error
        except AliPayException as error:
            raise GatewayUnreachable(f"unsigned error {_codes_of(error)}") from None
        except (OSError, http.client.HTTPException, ValueError, TypeError, AttributeError) as error:
            # Transport errors, JSON that isn't any, base64 that isn't any (binascii.Error is a ValueError), a JSON null.
            raise GatewayUnreachable(f"{type(error).__name__}") from error
        if answer.get("code") == "10000":
            return answer
        sub_code = str(answer.get("sub_code", ""))
        if answer.get("code") == "40004" and sub_code not in {"", "ACQ.SYSTEM_ERROR"}:
            raise GatewayRejected(sub_code, str(answer.get("sub_msg", "")))
        raise GatewayUnreachable(f"code {answer.get('code')} {sub_code}")


def _signed_text(form: Mapping[str, str]) -> str:
    """What Alipay signed of a notification or a return: all of it but the signature and its kind, as the SDK's `verify` joins it."""
    return "&".join([f"{name}={value}" for name, value in sorted(form.items()) if name not in _NOT_SIGNED])


_NOT_SIGNED = frozenset({"sign", "sign_type"})


def _codes_of(error: AliPayException) -> str:
    """The codes of an unsigned error. The rest of the raw answer, which the exception holds, doesn't belong in a log."""
    try:
        parts = json.loads(getattr(error, "_AliPayException__message", ""))
    except (TypeError, ValueError):
        return ""
    answer = next((part for part in parts.values() if isinstance(part, dict)), {}) if isinstance(parts, dict) else {}
    codes = [str(answer.get(name, "")) for name in ("code", "sub_code")]
    return " ".join(code for code in codes if _CODE.fullmatch(code))


def _must_be_about(answer: Mapping[str, Any], **ids: str) -> None:
    """A signature binds an answer to Alipay, not to what was asked."""
    if any(answer.get(name) != value for name, value in ids.items()):
        raise GatewayUnreachable("the answer is about something else")


def _is_alipays(host: str, gateway_url: str) -> bool:
    """Bills lie on hosts of Alipay's own; a simulator's lie beside its gateway."""
    return host == urlsplit(gateway_url).hostname or host.endswith((".alipay.com", ".alipaydev.com"))


class _Client(AliPay):  # type: ignore[misc] # the SDK has no types
    """The SDK with its defects mended: any gateway address, OpenSSL, several public keys, a total deadline, braces in texts."""

    def __init__(self, config: AlipayConfig) -> None:
        self._openssl_private_key = config.app_private_key
        self._openssl_public_keys = tuple(config.alipay_public_keys)
        private_pem = config.app_private_key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        public_pem = config.alipay_public_keys[0].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        super().__init__(
            appid=config.app_id,
            app_notify_url=config.notify_url,
            app_private_key_string=private_pem.decode(),
            alipay_public_key_string=public_pem.decode(),
            sign_type="RSA2",
            config=AliPayConfig(timeout=config.timeout_s),
        )
        self._gateway = config.gateway_url
        self._opener = urllib.request.build_opener(_NoRedirects)

    @property
    def gateway_url(self) -> str:
        return self._gateway

    def _sign(self, unsigned_string: str) -> str:
        signature = self._openssl_private_key.sign(unsigned_string.encode(), _PADDING, _DIGEST)
        return base64.b64encode(signature).decode()

    def verify_text(self, text: str, signature: str) -> bool:
        """Whether Alipay signed this text."""
        try:
            decoded = base64.b64decode(signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        content = text.encode()
        return any(_signed_by(key, decoded, content) for key in self._openssl_public_keys)

    def _verify(self, raw_content: str, signature: str) -> bool:
        return self.verify_text(raw_content, signature)

    def build_body(self, method: str, biz_content: Any = None, **kwargs: Any) -> dict[str, Any]:
        """The SDK stamps the process's local time; Alipay reads Beijing time."""
        body: dict[str, Any] = super().build_body(method, biz_content, **kwargs)
        body["timestamp"] = datetime.now(BEIJING).strftime("%Y-%m-%d %H:%M:%S")
        return body

    def verified_sync_response(self, data: Any, response_type: str) -> Any:
        return self._verify_and_return_sync_response(self._fetch(f"{self._gateway}?{self.sign_data(data)}"), response_type)

    def _fetch(self, url: str) -> str:
        return self.fetch_bytes(url).decode()

    def fetch_bytes(self, url: str) -> bytes:
        """What is at `url`, all of it within the time-out, without following redirects."""
        deadline = time.monotonic() + self._config.timeout
        with self._open(url) as answer:
            received = bytearray()
            while chunk := answer.read1(65_536):
                received += chunk
                if time.monotonic() > deadline:
                    raise TimeoutError("the answer drips in too slowly")
                if len(received) > MAX_ANSWER_BYTES:
                    raise ValueError("the answer is too large")
        return bytes(received)

    def _open(self, url: str) -> Any:
        try:
            return self._opener.open(url, timeout=self._config.timeout)
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            raise

    def _get_string_to_be_signed(self, raw_string: str, response_type: str) -> str:
        """The SDK counts braces and stumbles over one inside a text; a JSON parser doesn't."""
        key = json.dumps(response_type)
        start = raw_string.index("{", raw_string.index(key) + len(key))
        _, end = json.JSONDecoder().raw_decode(raw_string, start)
        return raw_string[start:end]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A signed request is for the configured gateway only."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _signed_by(key: RSAPublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, content, _PADDING, _DIGEST)
    except OpenSSLInvalidSignature:
        return False
    return True


def read_private_key(path: Path) -> RSAPrivateKey:
    """A private key in any form that Alipay's key tool emits: PKCS#1 or PKCS#8, PEM or bare base64.

    Raises:
        OSError, ValueError: it can't be read, or isn't an RSA private key.
    """
    text = path.read_bytes().strip()
    key = load_pem_private_key(text, None) if text.startswith(b"-----") else load_der_private_key(base64.b64decode(text), None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(f"{path.name} is not an RSA private key")  # noqa: TRY004 - the file's content is wrong, not a type
    return key


def read_public_key(path: Path) -> RSAPublicKey:
    """Alipay's public key, PEM or bare base64.

    Raises:
        OSError, ValueError: it can't be read, or isn't an RSA public key.
    """
    text = path.read_bytes().strip()
    key = load_pem_public_key(text) if text.startswith(b"-----") else load_der_public_key(base64.b64decode(text))
    if not isinstance(key, RSAPublicKey):
        raise ValueError(f"{path.name} is not an RSA public key")  # noqa: TRY004 - the file's content is wrong, not a type
    return key


def plain_subject(text: str) -> str:
    """A subject that Alipay takes and that can't blur the borders of signed fields: no `/ = &`, at most 256 characters."""
    return re.sub(r"[/=&]", " ", text)[:256]


def beijing_time(moment: datetime) -> str:
    """A moment as Alipay writes it."""
    return moment.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def from_beijing_time(text: str | None) -> datetime | None:
    """The moment that Alipay means, or None for no text.

    Raises:
        ValueError: it isn't a time.
    """
    return datetime.fromisoformat(text).replace(tzinfo=BEIJING) if text else None
