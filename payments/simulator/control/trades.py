"""The control API's trades: what a buyer can do at the cashier, and everything known about an order."""

from typing import Any

from flask import Response, jsonify, request
from werkzeug.exceptions import NotFound

from payments.simulator.buyers import DEFAULT_ACCOUNT, find_buyer
from payments.simulator.console import refund_in_console
from payments.simulator.control.base import blueprint, read_json, read_limit, simulation
from payments.simulator.due import apply_all_due
from payments.simulator.fields import TEXT_LIMITS
from payments.simulator.money import parse_yuan
from payments.simulator.store import Database, Row
from payments.simulator.trades import close, find_trade, list_trades, scan, scan_and_pay
from payments.simulator.views import find_app_id, view_order, view_rows


@blueprint.get("/trades")
def list_orders() -> Response:
    sim = simulation()
    with sim.store.transaction() as db:
        apply_all_due(sim, db)
        return jsonify(
            trades=view_rows(list_trades(db, status=request.args.get("status", ""), limit=read_limit()))
        )


@blueprint.get("/trades/<out_trade_no>")
def get_order(out_trade_no: str) -> Response:
    sim = simulation()
    with sim.store.transaction() as db:
        apply_all_due(sim, db)
        return jsonify(_view(db, out_trade_no))


@blueprint.post("/trades/<out_trade_no>/scan")
def scan_order(out_trade_no: str) -> Response:
    """The buyer scans or logs in."""
    sim, account = simulation(), str(read_json().get("buyer", ""))
    with sim.store.transaction() as db:
        session = _get_session(db, out_trade_no)
        scan(sim, db, session, find_buyer(account))
        db.run(
            "UPDATE session SET buyer = ? WHERE session_id = ?",
            account or DEFAULT_ACCOUNT,
            session["session_id"],
        )
        return jsonify(_view(db, out_trade_no))


@blueprint.post("/trades/<out_trade_no>/pay")
def pay_order(out_trade_no: str) -> Response:
    """The buyer pays, and scans first if necessary."""
    sim, account = simulation(), str(read_json().get("buyer", ""))
    with sim.store.transaction() as db:
        scan_and_pay(sim, db, _get_session(db, out_trade_no), find_buyer(account))
        return jsonify(_view(db, out_trade_no))


@blueprint.post("/trades/<out_trade_no>/close")
def close_order(out_trade_no: str) -> Response:
    """Closes the trade without the shop."""
    sim = simulation()
    with sim.store.transaction() as db:
        apply_all_due(sim, db)
        close(sim, db, _get_trade(db, out_trade_no), at=sim.now())
        return jsonify(_view(db, out_trade_no))


@blueprint.post("/trades/<out_trade_no>/refund")
def refund_order(out_trade_no: str) -> Response:
    """A refund in the merchant's console: all that is left, or `amount`. The shop hears of it only by
    notification, if at all.
    """
    sim, wish = simulation(), _read_refund()
    with sim.store.transaction() as db:
        apply_all_due(sim, db)
        refund_in_console(sim, db, _get_trade(db, out_trade_no), **wish)
        return jsonify(_view(db, out_trade_no))


def _read_refund() -> dict[str, Any]:
    wish = read_json()
    if unknown := set(wish) - {"amount", "out_request_no", "reason"}:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are amount, out_request_no, reason")
    texts = {name: wish.get(name, "") for name in ("out_request_no", "reason")}
    for name, limit in (
        ("out_request_no", TEXT_LIMITS["out_request_no"]),
        ("reason", TEXT_LIMITS["refund_reason"]),
    ):
        if not isinstance(texts[name], str) or len(texts[name]) > limit:
            raise ValueError(f"{name} is a text of at most {limit} characters")
    amount_fen = parse_yuan(wish["amount"]) if "amount" in wish else None
    if "amount" in wish and not amount_fen:
        raise ValueError("amount is yuan, such as 19.90")
    return {"amount_fen": amount_fen, **texts}


def _get_trade(db: Database, out_trade_no: str) -> Row:
    trade = find_trade(db, _get_app_id(db, out_trade_no), out_trade_no=out_trade_no)
    if trade is None:
        raise NotFound(f"nobody has scanned {out_trade_no}, so there is no trade")
    return trade


def _get_app_id(db: Database, out_trade_no: str) -> str:
    app_id = request.args.get("app_id") or find_app_id(db, out_trade_no)
    if not app_id:
        raise NotFound(f"no pay request for {out_trade_no} has arrived")
    return app_id


def _get_session(db: Database, out_trade_no: str) -> Row:
    app_id = _get_app_id(db, out_trade_no)
    session = db.find(
        "SELECT * FROM session WHERE app_id = ? AND out_trade_no = ? ORDER BY rowid DESC",
        app_id,
        out_trade_no,
    )
    if session is None:
        raise NotFound(f"no pay request for {out_trade_no} has arrived")
    return session


def _view(db: Database, out_trade_no: str) -> dict[str, Any]:
    view = view_order(db, _get_app_id(db, out_trade_no), out_trade_no)
    if view is None:
        raise NotFound(f"no pay request for {out_trade_no} has arrived")
    return view
