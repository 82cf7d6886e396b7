"""The documented fields of each method and their limits."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from payments.simulator.errors import GatewayError, business_error
from payments.simulator.money import parse_yuan
from payments.simulator.settings import Settings

OUT_TRADE_NO = re.compile(r"[A-Za-z0-9_]{1,64}")
URL_LIMIT = 256

TEXT_LIMITS = {
    "subject": 256,
    "passback_params": 512,
    "out_request_no": 64,
    "trade_no": 64,
    "refund_reason": 256,
    "operator_id": 28,
    "time_expire": 32,
    "timeout_express": 6,
    "product_code": 64,
}

PAY_FIELDS = frozenset(
    {
        "out_trade_no",
        "total_amount",
        "subject",
        "product_code",
        "body",
        "qr_pay_mode",
        "qrcode_width",
        "goods_detail",
        "time_expire",
        "timeout_express",
        "sub_merchant",
        "extend_params",
        "business_params",
        "promo_params",
        "integration_type",
        "request_from_url",
        "store_id",
        "merchant_order_no",
        "ext_user_info",
        "invoice_info",
        "passback_params",
        "goods_type",
        "agreement_sign_params",
        "settle_info",
        "royalty_info",
        "enable_pay_channels",
        "disable_pay_channels",
        "operator_id",
        "terminal_id",
        "seller_id",
        "specified_channel",
        "quit_url",
        "alipay_store_id",
        "undiscountable_amount",
        "discountable_amount",
        "buyer_logon_id",
        "auth_token",
        "query_options",
    }
)

DOCUMENTED_FIELDS = {
    "alipay.trade.page.pay": PAY_FIELDS,
    "alipay.trade.wap.pay": PAY_FIELDS,
    "alipay.trade.app.pay": PAY_FIELDS,
    "alipay.trade.precreate": PAY_FIELDS,
    "alipay.trade.query": frozenset({"out_trade_no", "trade_no", "org_pid", "query_options"}),
    "alipay.trade.close": frozenset({"out_trade_no", "trade_no", "operator_id"}),
    "alipay.trade.cancel": frozenset({"out_trade_no", "trade_no"}),
    "alipay.trade.refund": frozenset(
        {
            "out_trade_no",
            "trade_no",
            "refund_amount",
            "refund_currency",
            "refund_reason",
            "out_request_no",
            "operator_id",
            "store_id",
            "terminal_id",
            "goods_detail",
            "refund_royalty_parameters",
            "org_pid",
            "query_options",
            "refund_goods_detail",
            "related_settle_confirm_no",
        }
    ),
    "alipay.trade.fastpay.refund.query": frozenset(
        {"out_trade_no", "trade_no", "out_request_no", "org_pid", "query_options"}
    ),
    "alipay.data.dataservice.bill.downloadurl.query": frozenset(
        {"bill_type", "bill_date", "smid", "bill_date_end"}
    ),
}


def list_undocumented(method: str, biz: Mapping[str, Any]) -> list[str]:
    """Alipay warns that undocumented fields may make refunds fail or happen twice. The simulator only reports
    them.
    """
    return sorted(set(biz) - DOCUMENTED_FIELDS.get(method, frozenset()))


def check_texts(biz: Mapping[str, Any], settings: Settings) -> None:
    """Raises GatewayError for a text that is too long or contains forbidden characters."""
    limits = {**TEXT_LIMITS, "body": settings.max_body_length}
    for name, limit in limits.items():
        if name in biz and len(str(biz[name])) > limit:
            raise invalid_field(name)
    if any(char in str(biz.get("subject", "")) for char in "/=&"):
        raise invalid_field("subject")
    number = str(biz.get("out_trade_no", ""))
    if number and OUT_TRADE_NO.fullmatch(number) is None:
        raise invalid_field("out_trade_no")


def check_urls(params: Mapping[str, str]) -> None:
    """Raises GatewayError for a callback URL that the gateway refuses."""
    for name in ("notify_url", "return_url"):
        url = params.get(name, "")
        if not url:
            continue
        parts = urlsplit(url)
        if len(url) > URL_LIMIT or parts.scheme not in {"http", "https"} or not parts.netloc:
            raise invalid_field(name)
        if name == "return_url" and "method" in parse_qs(parts.query, keep_blank_values=True):
            # The return URL gets a parameter of this name, and the gateway treats a second one as an attack.
            raise GatewayError("40002", "isv.suspected-attack")


def require_text(biz: Mapping[str, Any], name: str) -> str:
    """Raises GatewayError if the field is missing or empty."""
    value = biz.get(name)
    if value is None or str(value) == "":
        raise invalid_field(name)
    return str(value)


def require_amount(biz: Mapping[str, Any], name: str, settings: Settings) -> int:
    """The amount in fen. Raises GatewayError if it is missing, malformed or out of range."""
    text = require_text(biz, name)
    fen = parse_yuan(text)
    if fen is None or fen < 1:
        raise invalid_field(name)
    if fen > (parse_yuan(settings.max_total_amount) or 0):
        raise business_error("ACQ.TOTAL_FEE_EXCEED") if name == "total_amount" else invalid_field(name)
    return fen


def require_trade_id(biz: Mapping[str, Any]) -> tuple[str, str]:
    """(out_trade_no, trade_no), at least one of them not empty."""
    out_trade_no, trade_no = str(biz.get("out_trade_no") or ""), str(biz.get("trade_no") or "")
    if not out_trade_no and not trade_no:
        raise invalid_field("out_trade_no")
    return out_trade_no, trade_no


def invalid_field(name: str) -> GatewayError:
    return business_error("ACQ.INVALID_PARAMETER", f"：{name}")
