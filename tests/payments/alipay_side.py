"""Alipay's side for tests: its keys, its signatures, and a gateway with scripted answers.

Uses neither the SDK nor the shop's own code.
"""

import base64
import http.server
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from payments.gateways.alipay import AlipayConfig, AlipayGateway
from payments.gateways.call_limits import CallLimits
from payments.models import Payment

APP_ID, SELLER_ID = "2021000000000001", "2088000000000001"


@cache
def key(name: str) -> RSAPrivateKey:
    """One key per name for the whole run; generating one takes a tenth of a second."""
    return generate_private_key(65537, 2048)


def rsa(text: str, *, signer: str = "alipay", digest: HashAlgorithm | None = None) -> str:
    return base64.b64encode(key(signer).sign(text.encode(), PKCS1v15(), digest or SHA256())).decode()


def signed_form(
    fields: Mapping[str, str],
    *,
    signer: str = "alipay",
    digest: HashAlgorithm | None = None,
    sign_type: str | None = "RSA2",
) -> dict[str, str]:
    """A notification's or a return's fields with Alipay's signature."""
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()))
    return {
        **fields,
        **({"sign_type": sign_type} if sign_type is not None else {}),
        "sign": rsa(text, signer=signer, digest=digest),
    }


def sha1() -> HashAlgorithm:
    return SHA1()


def paid_fields(payment: Payment, **changes: str) -> dict[str, str]:
    """The fields of a TRADE_SUCCESS about the payment, as Alipay sends them."""
    return {
        "notify_time": "2026-03-02 12:01:05",
        "notify_type": "trade_status_sync",
        "notify_id": "2026030200222120105030620533851730",
        "charset": "utf-8",
        "version": "1.0",
        "app_id": APP_ID,
        "auth_app_id": APP_ID,
        "seller_id": SELLER_ID,
        "buyer_id": "2088622958603995",
        "trade_no": f"20260302220014{payment.pk:014}",
        "out_trade_no": payment.out_trade_no,
        "trade_status": "TRADE_SUCCESS",
        "total_amount": str(payment.amount),
        "receipt_amount": str(payment.amount),
        "subject": "课程 + 更多",
        "gmt_create": "2026-03-02 12:00:30",
        "gmt_payment": "2026-03-02 12:01:04",
        "fund_bill_list": '[{"amount":"1.00","fundChannel":"ALIPAYACCOUNT"}]',
        **changes,
    }


def notification(payment: Payment, **changes: str) -> dict[str, str]:
    """A genuine notification; `changes` are signed by Alipay too."""
    return signed_form(paid_fields(payment, **changes))


def refund_changes(amount: str) -> dict[str, str]:
    """The additional fields of a notification about a refund."""
    return {
        "refund_fee": amount,
        "gmt_refund": "2026-03-02 13:00:00.123",
        "out_biz_no": "R1",
        "send_back_fee": amount,
    }


def encoded(form: Mapping[str, str]) -> str:
    return urlencode(form)


def signed_answer(method: str, inner: Mapping[str, Any], *, signer: str = "alipay") -> bytes:
    """A synchronous answer: the signature covers the inner JSON as it is written."""
    raw = json.dumps(inner, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
    return f'{{"{method.replace(".", "_")}_response":{raw},"sign":"{rsa(raw, signer=signer)}"}}'.encode()


@dataclass
class Told:
    """The requests that the gateway received, and how it answers.

    `answer` gets the parameters; bytes are sent with status 200, an int is a status.
    """

    url: str
    answer: Callable[[dict[str, str]], bytes | int | Iterator[bytes] | None]
    asked: list[dict[str, str]] = field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    told: Told

    def do_GET(self) -> None:
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        self.told.asked.append(parameters)
        answer = self.told.answer(parameters)
        if answer is None:
            return  # closes without an answer
        if isinstance(answer, int):
            self.send_response(answer)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html;charset=utf-8")
        self.end_headers()
        try:
            for chunk in [answer] if isinstance(answer, bytes) else answer:
                self.wfile.write(chunk)
                self.wfile.flush()
        except OSError:
            return  # the client has given up

    def log_message(self, *args: object) -> None: ...


@contextmanager
def gateway_server(answer: Callable[[dict[str, str]], Any]) -> Iterator[Told]:
    told = Told("", answer)
    handler = type("Handler", (_Handler,), {"told": told})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False  # closing the server waits for these, so that no socket is left open
    told.url = f"http://127.0.0.1:{server.server_port}/gateway.do"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_gateway(
    url: str = "http://127.0.0.1:9/gateway.do",
    *,
    timeout_s: int = 5,
    limits: CallLimits | None = None,
    **changes: Any,
) -> AlipayGateway:
    """The shop's real gateway, with the test's keys."""
    config = {
        "gateway_url": url,
        "buyer_gateway_url": url,
        "app_id": APP_ID,
        "seller_id": SELLER_ID,
        "app_private_key": key("app"),
        "alipay_public_keys": [key("alipay").public_key()],
        "notify_url": "https://shop.test/api/v1/payments/alipay/notify/",
        "return_url": "https://shop.test/api/v1/payments/alipay/return/",
        "timeout_s": timeout_s,
    }
    return AlipayGateway(AlipayConfig(**{**config, **changes}), limits)
