"""`/gateway.do`."""

import time
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, current_app, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from payments.simulator.bill_methods import query_bill_link
from payments.simulator.due import apply_all_due
from payments.simulator.errors import GatewayError
from payments.simulator.faults import Event, Fault
from payments.simulator.gateway_faults import find_delivery, lets_through, replace_body, replace_inner
from payments.simulator.merchants import Merchant
from payments.simulator.pay_methods import PAGE_PRODUCTS, open_page, precreate
from payments.simulator.protocol import (
    CHARSETS,
    GatewayRequest,
    check_request,
    encode_answer,
    encode_inner,
    read_parameters,
)
from payments.simulator.request_log import Exchange, log_request
from payments.simulator.server import DELAY, DELIVERY
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database
from payments.simulator.trade_methods import (
    cancel_trade,
    close_trade,
    query_refund,
    query_trade,
    refund_trade,
)

blueprint = Blueprint("gateway", __name__)

Call = Callable[[Simulation, Database, GatewayRequest], dict[str, Any]]

CALLS: dict[str, Call] = {
    "alipay.trade.precreate": precreate,
    "alipay.trade.query": query_trade,
    "alipay.trade.close": close_trade,
    "alipay.trade.cancel": cancel_trade,
    "alipay.trade.refund": refund_trade,
    "alipay.trade.fastpay.refund.query": query_refund,
    "alipay.data.dataservice.bill.downloadurl.query": query_bill_link,
}
METHODS = frozenset(CALLS) | frozenset(PAGE_PRODUCTS)


@blueprint.route("/gateway.do", methods=["GET", "POST"])
def answer_gateway() -> BaseResponse:
    sim: Simulation = current_app.config["SIMULATION"]
    started = time.perf_counter()
    params = read_parameters(request.query_string, request.get_data())
    checked: GatewayRequest | None = None
    fault: Fault | None = None
    page = ""
    try:
        checked = check_request(sim, params, METHODS, request.host_url.rstrip("/"))
        event = Event(
            app_id=checked.merchant.app_id, out_trade_no=checked.out_trade_no, method=checked.method
        )
        fault = _spared(sim, checked, sim.faults.take("gateway", event))
        inner, page = _execute(sim, checked, fault)
    except GatewayError as error:
        inner = error.as_answer()
        signer = sim.merchants.find(params.get("app_id", "")) if error.is_signed else None
    else:
        signer = checked.merchant
    if page:
        body, response = page, redirect(page)
    elif params.get("method") in PAGE_PRODUCTS and "sub_code" in inner:
        body, response = _answer_page_error(inner)
    else:
        body, response = _answer_call(sim, params, inner, signer, fault)
    if fault is not None:
        _apply_transport(fault, response)
    log_request(
        sim, Exchange(request.method, params, checked, inner, fault, body, response.status_code, started)
    )
    return response


def _spared(sim: Simulation, checked: GatewayRequest, fault: Fault | None) -> Fault | None:
    """The fault; None if it limits calls per second and this call is within the limit.

    Opening the cashier doesn't count as a call.
    """
    if fault is None or fault.kind != "call_limited" or not (allowed := float(fault.params["per_second"])):
        return fault
    return None if checked.method in PAGE_PRODUCTS or sim.calls.is_within(allowed) else fault


def _answer_page_error(inner: dict[str, Any]) -> tuple[str, BaseResponse]:
    """An error page for people, in GBK like Alipay's."""
    code = str(inner["sub_code"])
    # Buyers see this one in a second tab, where "start again" would be wrong advice.
    is_paid = code == "ACQ.TRADE_HAS_SUCCESS"
    body = render_template(
        "gateway_error.html", code=code.removeprefix("isv."), reason=inner["sub_msg"], is_paid=is_paid
    )
    return body, Response(body.encode("gbk", "replace"), content_type="text/html;charset=GBK")


def _answer_call(
    sim: Simulation,
    params: dict[str, str],
    inner: dict[str, Any],
    signer: Merchant | None,
    fault: Fault | None,
) -> tuple[str, BaseResponse]:
    """JSON with an HTML content type, as Alipay sends it."""
    charset = CHARSETS.get(params.get("charset", "").lower(), "utf-8")
    method = (
        "error_response" if fault is not None and fault.kind == "error_response" else params.get("method", "")
    )
    body = encode_answer(
        method, encode_inner(inner, escape_slashes=sim.settings.escape_slashes), signer, charset
    )
    body = replace_body(fault, body) if fault else body
    return body, Response(body.encode(charset, "replace"), content_type=f"text/html;charset={charset}")


def _execute(sim: Simulation, checked: GatewayRequest, fault: Fault | None) -> tuple[dict[str, Any], str]:
    """The answer's contents, and the page to redirect to or an empty text. The effect is committed on
    return.
    """
    inner: dict[str, Any] = {"code": "10000", "msg": "Success"}
    page = ""
    with sim.store.transaction() as db:
        if lets_through(fault):
            apply_all_due(sim, db)
            if checked.method in PAGE_PRODUCTS:
                page = open_page(sim, db, checked)
            else:
                try:
                    inner |= CALLS[checked.method](sim, db, checked)
                except GatewayError as error:
                    inner = error.as_answer()
        if fault is not None:
            inner = replace_inner(sim, db, fault, checked, inner)
    is_refused = inner["code"] != "10000"
    return inner, "" if is_refused else page


def _apply_transport(fault: Fault, response: BaseResponse) -> None:
    if fault.kind == "slow":
        request.environ[DELAY] = float(fault.params["seconds"])
    if fault.kind == "http_error":
        response.status_code = int(fault.params["status"])
    delivery = find_delivery(fault)
    if delivery is not None:
        request.environ[DELIVERY] = delivery
