"""query, close, cancel, refund and refund query: the calls that answer in JSON."""

from typing import Any

from payments.simulator.buyers import find_buyer
from payments.simulator.errors import business_error
from payments.simulator.faults import Event
from payments.simulator.fields import (
    check_texts,
    invalid_field,
    require_amount,
    require_text,
    require_trade_id,
)
from payments.simulator.money import format_yuan
from payments.simulator.protocol import GatewayRequest
from payments.simulator.refunds import find_refund, request_refund
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database, Row
from payments.simulator.times import format_time
from payments.simulator.trades import close, find_trade, get_trade, pay, scan_and_pay

NO_AMOUNTS = {
    "buyer_pay_amount": "0.00",
    "invoice_amount": "0.00",
    "point_amount": "0.00",
    "receipt_amount": "0.00",
}


def query_trade(sim: Simulation, db: Database, request: GatewayRequest) -> dict[str, Any]:
    out_trade_no, trade_no = require_trade_id(request.biz)
    trade = find_trade(db, request.merchant.app_id, trade_no=trade_no, out_trade_no=out_trade_no)
    if trade is None:
        echo = {"out_trade_no": out_trade_no} if out_trade_no else {"trade_no": trade_no}
        raise business_error("ACQ.TRADE_NOT_EXIST", **NO_AMOUNTS, **echo)
    total = format_yuan(trade["total_fen"])
    answer = {
        "buyer_logon_id": trade["buyer_logon_id"],
        "buyer_user_id": trade["buyer_id"],
        "out_trade_no": trade["out_trade_no"],
        "total_amount": total,
        "trade_no": trade["trade_no"],
        "trade_status": trade["status"],
        **NO_AMOUNTS,
    }
    if trade["paid_at"] is not None:
        answer |= {"buyer_pay_amount": total, "invoice_amount": total, "receipt_amount": total}
        answer["send_pay_date"] = format_time(trade["paid_at"])
        answer["fund_bill_list"] = [{"amount": total, "fund_channel": "ALIPAYACCOUNT"}]
    return dict(sorted(answer.items()))


def close_trade(sim: Simulation, db: Database, request: GatewayRequest) -> dict[str, Any]:
    check_texts(request.biz, sim.settings)
    out_trade_no, trade_no = require_trade_id(request.biz)
    trade = find_trade(db, request.merchant.app_id, trade_no=trade_no, out_trade_no=out_trade_no)
    event = Event(request.merchant.app_id, out_trade_no, request.method, trade["status"] if trade else "")
    if trade is None:
        opened = _find_payable(sim, db, request.merchant.app_id, out_trade_no)
        if opened is not None and sim.faults.take("business", event, ["pay_after_close"]) is not None:
            scan_and_pay(sim, db, opened, find_buyer(""))
        raise business_error(
            "ACQ.TRADE_NOT_EXIST", **({"out_trade_no": out_trade_no} if out_trade_no else {})
        )
    if (
        trade["status"] == "WAIT_BUYER_PAY"
        and sim.faults.take("business", event, ["pay_on_close"]) is not None
    ):
        trade = pay(sim, db, trade["trade_no"])
    close(sim, db, trade, at=sim.now())
    return {"out_trade_no": trade["out_trade_no"], "trade_no": trade["trade_no"]}


def cancel_trade(sim: Simulation, db: Database, request: GatewayRequest) -> dict[str, Any]:
    """Closes an unpaid trade, or refunds a paid one, within a day."""
    trade = _get_asked_trade(db, request)
    if sim.now() - trade["created_at"] > sim.settings.cancel_window_s:
        raise business_error("ACQ.TRADE_CANCEL_TIME_OUT", out_trade_no=trade["out_trade_no"])
    action = ""
    if trade["status"] == "WAIT_BUYER_PAY":
        close(sim, db, trade, at=sim.now())
        action = "close"
    elif trade["status"] != "TRADE_CLOSED":
        left = trade["total_fen"] - trade["refunded_fen"]
        request_refund(sim, db, trade, out_request_no=trade["out_trade_no"], amount_fen=left, reason="cancel")
        action = "refund"
    answer = {"out_trade_no": trade["out_trade_no"], "trade_no": trade["trade_no"], "retry_flag": "N"}
    # A closed trade needs nothing, and the gateway then names no action.
    return {**answer, "action": action} if action else answer


def refund_trade(sim: Simulation, db: Database, request: GatewayRequest) -> dict[str, Any]:
    """`refund_fee` is the trade's cumulative refund; `fund_change` says whether this call moved money."""
    check_texts(request.biz, sim.settings)
    amount_fen = require_amount(request.biz, "refund_amount", sim.settings)
    trade = _get_asked_trade(db, request)
    out_request_no = str(request.biz.get("out_request_no") or "")
    if not out_request_no:
        if amount_fen != trade["total_fen"]:
            raise invalid_field("out_request_no")
        out_request_no = trade["out_trade_no"]
    reason = str(request.biz.get("refund_reason") or "")
    refund, has_moved = request_refund(
        sim, db, trade, out_request_no=out_request_no, amount_fen=amount_fen, reason=reason
    )
    trade = get_trade(db, trade["trade_no"])
    answer = {
        "buyer_logon_id": trade["buyer_logon_id"],
        "buyer_user_id": trade["buyer_id"],
        "fund_change": "Y" if has_moved else "N",
        "out_trade_no": trade["out_trade_no"],
        "refund_fee": format_yuan(trade["refunded_fen"]),
        "send_back_fee": format_yuan(refund["amount_fen"] if has_moved else 0),
        "trade_no": trade["trade_no"],
    }
    if refund["refunded_at"] is not None:
        answer["gmt_refund_pay"] = format_time(refund["refunded_at"])
    return dict(sorted(answer.items()))


def query_refund(sim: Simulation, db: Database, request: GatewayRequest) -> dict[str, Any]:
    """An unknown, unfinished or failed refund isn't an error: the answer then has no refund data."""
    out_request_no = require_text(request.biz, "out_request_no")
    trade = _get_asked_trade(db, request)
    refund = find_refund(db, trade["trade_no"], out_request_no)
    if refund is None or refund["status"] != "succeeded":
        return {}
    answer = {
        "out_request_no": out_request_no,
        "out_trade_no": trade["out_trade_no"],
        "refund_amount": format_yuan(refund["amount_fen"]),
        "refund_status": "REFUND_SUCCESS",
        "total_amount": format_yuan(trade["total_fen"]),
        "trade_no": trade["trade_no"],
    }
    if refund["reason"]:
        answer["refund_reason"] = refund["reason"]
    if "gmt_refund_pay" in str(request.biz.get("query_options", "")):
        answer["gmt_refund_pay"] = format_time(refund["refunded_at"])
    return dict(sorted(answer.items()))


def _get_asked_trade(db: Database, request: GatewayRequest) -> Row:
    out_trade_no, trade_no = require_trade_id(request.biz)
    trade = find_trade(db, request.merchant.app_id, trade_no=trade_no, out_trade_no=out_trade_no)
    if trade is None:
        raise business_error(
            "ACQ.TRADE_NOT_EXIST", **({"out_trade_no": out_trade_no} if out_trade_no else {})
        )
    return trade


def _find_payable(sim: Simulation, db: Database, app_id: str, out_trade_no: str) -> Row | None:
    """A pay request that the buyer has only opened, and can still scan and pay."""
    return db.find(
        "SELECT * FROM session WHERE app_id = ? AND out_trade_no = ? AND coalesce(expires_at > ?, 1)"
        " ORDER BY rowid DESC",
        app_id,
        out_trade_no,
        sim.now(),
    )
