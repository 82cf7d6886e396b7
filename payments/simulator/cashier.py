"""The cashier: pages on which a person, or a script that acts like a browser, logs in, pays or leaves."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import Blueprint, current_app, redirect, render_template, request
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from payments.simulator.buyers import find_buyer
from payments.simulator.due import apply_all_due
from payments.simulator.errors import GatewayError, business_error
from payments.simulator.money import format_yuan
from payments.simulator.notifier import Notifier
from payments.simulator.returns import return_fields
from payments.simulator.signing import encode_form
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database, Row
from payments.simulator.times import format_time
from payments.simulator.trades import find_trade, pay, scan

blueprint = Blueprint("cashier", __name__)

# With these products payment creates the trade, so a login only stores the buyer.
CREATED_ON_PAYMENT = frozenset({"wap", "app"})


@blueprint.get("/qr/<session_id>")
def scan_code(session_id: str) -> Response:
    """The target of a QR code."""
    return redirect(f"/cashier/{session_id}")


@blueprint.get("/cashier/<session_id>")
def show_cashier(session_id: str) -> str:
    sim = _simulation()
    with sim.store.transaction() as db:
        apply_all_due(sim, db)
        return _render(db, _get_session(db, session_id))


@blueprint.post("/cashier/<session_id>/login")
def log_in(session_id: str) -> Response | tuple[str, int]:
    """`account` is optional; every name has an account."""
    sim = _simulation()
    account = request.form.get("account", "").strip() or "buyer@example.com"
    with sim.store.transaction() as db:
        session = _get_session(db, session_id)
        try:
            if session["product"] not in CREATED_ON_PAYMENT:
                scan(sim, db, session, find_buyer(account))
        except GatewayError as error:
            return _render(db, session, error), 200
        db.run("UPDATE session SET buyer = ?, abandoned_at = NULL WHERE session_id = ?", account, session_id)
    return redirect(f"/cashier/{session_id}", 303)


@blueprint.post("/cashier/<session_id>/pay")
def pay_order(session_id: str) -> Response | tuple[str, int]:
    """Requires a login.

    Any password is accepted. Redirects to the shop, or to the result page if there is no return_url.
    """
    sim = _simulation()
    with sim.store.transaction() as db:
        session = _get_session(db, session_id)
        if not session["buyer"]:
            return _render(db, session, business_error("ACQ.INVALID_PARAMETER", "：请先登录")), 200
        try:
            trade = pay(sim, db, scan(sim, db, session, find_buyer(session["buyer"]))["trade_no"])
        except GatewayError as error:
            return _render(db, session, error), 200
    if sim.settings.return_order == "notification_first":
        notifier: Notifier = current_app.config["NOTIFIER"]
        notifier.wait_delivered(trade["trade_no"], sim.settings.delivery_timeout_real_s)
    return redirect(return_location(sim, session, trade) or f"/cashier/{session_id}", 303)


@blueprint.post("/cashier/<session_id>/abandon")
def abandon(session_id: str) -> Response:
    """The buyer leaves; a trade that exists stays open until it expires."""
    sim = _simulation()
    with sim.store.transaction() as db:
        _get_session(db, session_id)
        db.run("UPDATE session SET abandoned_at = ? WHERE session_id = ?", sim.now(), session_id)
    return redirect(f"/cashier/{session_id}", 303)


def return_location(sim: Simulation, session: Row, trade: Row) -> str:
    """The shop's return_url with the signed parameters; empty if the pay request gave none."""
    if not session["return_url"]:
        return ""
    parts = urlsplit(session["return_url"])
    own = urlencode(parse_qsl(parts.query, keep_blank_values=True))
    signed = encode_form(return_fields(sim, session, trade))
    location: str = urlunsplit(parts._replace(query=f"{own}&{signed}" if own else signed))
    return location


def _render(db: Database, session: Row, error: GatewayError | None = None) -> str:
    trade = find_trade(db, session["app_id"], out_trade_no=session["out_trade_no"])
    sim = _simulation()
    expires_at = trade["expires_at"] if trade else session["expires_at"]
    is_expired = trade is None and expires_at is not None and expires_at <= sim.now()
    is_paid = trade is not None and trade["paid_at"] is not None
    # A trade that was paid and fully refunded is closed, whichever tab shows it.
    if is_expired or (trade is not None and trade["status"] == "TRADE_CLOSED"):
        step = "closed"
    elif is_paid:
        step = "paid"
    elif session["abandoned_at"] is not None:
        step = "abandoned"
    else:
        step = "pay" if session["buyer"] else "login"
    return render_template(
        "cashier.html",
        session=session,
        merchant=sim.merchants.get(session["app_id"]),
        amount=format_yuan(session["total_fen"]),
        step=step,
        error=error,
        trade=trade,
        expires_at=format_time(expires_at) if expires_at is not None else "",
        way_back=return_location(sim, session, trade)
        if trade is not None and is_paid
        else session["return_url"],
    )


def _get_session(db: Database, session_id: str) -> Row:
    session = db.find("SELECT * FROM session WHERE session_id = ?", session_id)
    if session is None:
        raise NotFound("没有这个收银台会话")
    return session


def _simulation() -> Simulation:
    sim: Simulation = current_app.config["SIMULATION"]
    return sim
