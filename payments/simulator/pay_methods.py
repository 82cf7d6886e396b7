"""page.pay, wap.pay, app.pay and precreate: the calls that lead to the cashier."""

from typing import Any

from payments.simulator.errors import business_error
from payments.simulator.fields import check_texts, check_urls, invalid_field, require_amount, require_text
from payments.simulator.protocol import GatewayRequest
from payments.simulator.settings import Settings
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database
from payments.simulator.times import DAY_S, parse_time, parse_timeout_s
from payments.simulator.trades import PayRequest, open_session

PAGE_PRODUCTS = {
    "alipay.trade.page.pay": "page",
    "alipay.trade.wap.pay": "wap",
    "alipay.trade.app.pay": "app",
}
DEFAULT_TIMEOUT_S = 15 * DAY_S


def open_page(sim: Simulation, db: Database, request: GatewayRequest) -> str:
    """Checks the order and returns the path of its cashier page."""
    session_id = open_session(sim, db, read_pay_request(sim, request, PAGE_PRODUCTS[request.method]))
    return f"/cashier/{session_id}"


def precreate(sim: Simulation, db: Database, request: GatewayRequest) -> dict[str, Any]:
    """The QR code's content; scanning it creates the trade."""
    pay_request = read_pay_request(sim, request, "qr")
    session_id = open_session(sim, db, pay_request)
    return {"out_trade_no": pay_request.out_trade_no, "qr_code": f"{request.base_url}/qr/{session_id}"}


def read_pay_request(sim: Simulation, request: GatewayRequest, product: str) -> PayRequest:
    """Raises GatewayError for the first invalid field."""
    biz, settings = request.biz, sim.settings
    out_trade_no = require_text(biz, "out_trade_no")
    subject = require_text(biz, "subject")
    total_fen = require_amount(biz, "total_amount", settings)
    check_texts(biz, settings)
    check_urls(request.params)
    _check_product_code(str(biz.get("product_code", "")), product, settings)
    expires_at, timeout_s = _read_expiry(sim, biz)
    return PayRequest(
        app_id=request.merchant.app_id,
        product=product,
        out_trade_no=out_trade_no,
        total_fen=total_fen,
        subject=subject,
        body=str(biz.get("body") or ""),
        passback_params=str(biz.get("passback_params") or ""),
        notify_url=request.params.get("notify_url", ""),
        return_url=request.params.get("return_url", ""),
        charset=request.params.get("charset", "utf-8"),
        expires_at=expires_at,
        timeout_s=timeout_s,
    )


def _check_product_code(code: str, product: str, settings: Settings) -> None:
    allowed = {
        "page": ["FAST_INSTANT_TRADE_PAY"],
        "wap": settings.wap_product_codes,
        "app": ["QUICK_MSECURITY_PAY", ""],
        "qr": ["QR_CODE_OFFLINE", "FACE_TO_FACE_PAYMENT", ""],
    }
    if code not in allowed[product]:
        raise invalid_field("product_code")


def _read_expiry(sim: Simulation, biz: dict[str, Any]) -> tuple[float | None, float | None]:
    """The expiry or, if only `timeout_express` is given, the timeout in seconds; the other one is None.

    Without either field, an order can be paid within 15 days.
    """
    now = sim.now()
    if biz.get("time_expire"):
        expires_at = parse_time(str(biz["time_expire"]))
        if expires_at is None or expires_at > now + DEFAULT_TIMEOUT_S:
            raise invalid_field("time_expire")
        if expires_at <= now:
            raise business_error("ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR")
        return expires_at, None
    if biz.get("timeout_express"):
        timeout_s = parse_timeout_s(str(biz["timeout_express"]), now)
        if timeout_s is None:
            raise invalid_field("timeout_express")
        return None, timeout_s
    return None, float(DEFAULT_TIMEOUT_S)
