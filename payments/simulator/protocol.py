"""The envelope: reading a request, checking it in the gateway's order, and encoding the signed answer."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from payments.simulator.errors import GatewayError
from payments.simulator.merchants import Merchant
from payments.simulator.signing import is_signed, request_content, sign
from payments.simulator.simulation import Simulation
from payments.simulator.times import parse_time

CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "gbk": "gbk", "gb2312": "gbk"}
METHOD_NAME = re.compile(r"[a-z0-9]+(\.[a-z0-9]+)+")

REQUIRED = {
    "method": "isv.missing-method",
    "sign_type": "isv.missing-signature-type",
    "sign": "isv.missing-signature",
    "timestamp": "isv.missing-timestamp",
    "version": "isv.missing-version",
}


@dataclass(frozen=True)
class GatewayRequest:
    """A request whose envelope has been checked."""

    params: dict[str, str]
    merchant: Merchant
    method: str
    biz: dict[str, Any]
    charset: str
    # This gateway's own address, for absolute URLs in answers.
    base_url: str

    @property
    def out_trade_no(self) -> str:
        return str(self.biz.get("out_trade_no", ""))


def read_parameters(query: bytes, body: bytes) -> dict[str, str]:
    """Query and form parameters merged, since SDKs differ in what they put where; decoded in the request's
    charset.
    """
    raw = "&".join(part.decode("latin-1") for part in (query, body) if part)
    named = dict(parse_qsl(raw, keep_blank_values=True, encoding="latin-1")).get("charset", "utf-8")
    charset = CHARSETS.get(named.lower(), "utf-8")
    return dict(parse_qsl(raw, keep_blank_values=True, encoding=charset, errors="replace"))


def check_request(
    sim: Simulation, params: dict[str, str], known_methods: frozenset[str], base_url: str
) -> GatewayRequest:
    """Raises GatewayError for the first error. The order: app, presence, form, signature, method, JSON."""
    merchant = find_merchant(sim, params)
    for name, sub_code in REQUIRED.items():
        if not params.get(name):
            raise GatewayError("40001", sub_code)
    charset = _check_form(sim, params)
    content = request_content(params)
    if not is_signed(merchant.keys.app_public, content, params["sign"], charset=charset):
        raise GatewayError("40002", "isv.invalid-signature", detail=f"，网关生成的验签字符串为：{content}")
    if params["method"] not in known_methods:
        raise GatewayError("40002", "isv.invalid-method")
    return GatewayRequest(params, merchant, params["method"], _parse_biz(params), charset, base_url)


def find_merchant(sim: Simulation, params: dict[str, str]) -> Merchant:
    """The app is checked first. Its refusal is unsigned, since there is no key to sign with."""
    if not params.get("app_id"):
        raise GatewayError("40001", "isv.missing-app-id", is_signed=False)
    merchant = sim.merchants.find(params["app_id"])
    if merchant is None:
        raise GatewayError("40002", "isv.invalid-app-id", is_signed=False)
    return merchant


def _check_form(sim: Simulation, params: dict[str, str]) -> str:
    """Returns the Python name of the request's charset."""
    if params["sign_type"] != "RSA2":
        raise GatewayError("40002", "isv.invalid-signature-type")
    charset = CHARSETS.get(params.get("charset", "utf-8").lower())
    if charset is None:
        raise GatewayError("40002", "isv.invalid-charset")
    if params["version"] != "1.0":
        raise GatewayError("40002", "isv.invalid-version")
    sent_at = parse_time(params["timestamp"])
    tolerance = sim.settings.timestamp_tolerance_s
    if sent_at is None or (tolerance and abs(sent_at - sim.now()) > tolerance):
        raise GatewayError("40002", "isv.invalid-timestamp")
    return charset


def _parse_biz(params: dict[str, str]) -> dict[str, Any]:
    try:
        biz = json.loads(params.get("biz_content") or "{}")
        # A lone surrogate is valid JSON, but can't be stored or sent back as text.
        json.dumps(biz, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        biz = None
    if not isinstance(biz, dict):
        raise GatewayError("40002", "isv.illegal-json")
    return biz


def response_key(method: str) -> str:
    """Requests without a valid method are answered under `error_response`."""
    return f"{method.replace('.', '_')}_response" if METHOD_NAME.fullmatch(method) else "error_response"


def encode_inner(inner: dict[str, Any], *, escape_slashes: bool) -> str:
    """Compact JSON with unescaped Chinese; exactly this text is signed."""
    text = json.dumps(inner, ensure_ascii=False, separators=(",", ":"))
    return text.replace("/", "\\/") if escape_slashes else text


def encode_answer(method: str, inner: str, merchant: Merchant | None, charset: str = "utf-8") -> str:
    """The whole body; unsigned if there is no merchant to sign for."""
    key = json.dumps(response_key(method))
    if merchant is None:
        return f"{{{key}:{inner}}}"
    return f'{{{key}:{inner},"sign":"{sign(merchant.keys.alipay_private, inner, charset=charset)}"}}'
