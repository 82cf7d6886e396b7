"""The life of a trade: pay request, scan, payment, close, expiry, end of the refund window.

    pay request -- scanned / logged in --> WAIT_BUYER_PAY -- pays --> TRADE_SUCCESS -- refund window over -->
    TRADE_FINISHED
                                                |                          |
                                                +-- closed / expired       +-- fully refunded --> TRADE_CLOSED

Functions work in the transaction that they are given, so callers can combine several steps.
"""

import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from payments.simulator.buyers import Buyer
from payments.simulator.errors import GatewayError, business_error
from payments.simulator.faults import Event
from payments.simulator.merchants import move_balance
from payments.simulator.money import format_yuan
from payments.simulator.notifications import record_notification
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database, Row
from payments.simulator.times import beijing


@dataclass(frozen=True)
class PayRequest:
    """The validated contents of a page.pay, wap.pay, app.pay or precreate call."""

    app_id: str
    product: str
    out_trade_no: str
    total_fen: int
    subject: str
    body: str
    passback_params: str
    notify_url: str
    return_url: str
    charset: str
    # An absolute expiry, or seconds: from the session's creation for pages, from the trade's for other
    # products.
    expires_at: float | None
    timeout_s: float | None


def open_session(sim: Simulation, db: Database, request: PayRequest) -> str:
    """Opens a cashier session for a pay request and returns its id. There is no trade yet.

    Raises GatewayError if the order can no longer be paid.
    """
    now = sim.now()
    existing = find_trade(db, request.app_id, out_trade_no=request.out_trade_no)
    if existing is not None:
        _require_payable(existing)
        _require_same(existing, request.total_fen, request.subject)
    expires_at = request.expires_at
    if expires_at is None and request.product == "page":
        # A page's relative timeout counts from the first time that the order was shown.
        first = db.find(
            "SELECT min(created_at) AS at FROM session WHERE app_id = ? AND out_trade_no = ?",
            request.app_id,
            request.out_trade_no,
        )
        started = first["at"] if first is not None and first["at"] is not None else now
        expires_at = started + (request.timeout_s or 0)
    session_id = secrets.token_hex(16)
    db.insert(
        "session",
        **{**request.__dict__, "expires_at": expires_at},
        session_id=session_id,
        created_at=now,
    )
    return session_id


def scan(sim: Simulation, db: Database, session: Row, buyer: Buyer) -> Row:
    """The buyer scans or logs in, which creates the trade. An order's first scan fixes its data.

    Raises GatewayError if the order is expired, closed or paid, or was scanned with another amount.
    """
    now = sim.now()
    apply_due(sim, db, now)
    trade = find_trade(db, session["app_id"], out_trade_no=session["out_trade_no"])
    if trade is not None:
        _require_payable(trade)
        _require_same(trade, session["total_fen"], session["subject"])
        return trade
    if session["expires_at"] is not None and session["expires_at"] <= now:
        raise business_error("ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR")
    merchant = sim.merchants.get(session["app_id"])
    if buyer.user_id == merchant.seller_id:
        raise business_error("ACQ.BUYER_SELLER_EQUAL")
    trade_no = f"{beijing(now):%Y%m%d}22001{secrets.randbelow(10**15):015d}"
    copied = (
        "app_id",
        "product",
        "out_trade_no",
        "total_fen",
        "subject",
        "body",
        "passback_params",
        "notify_url",
        "return_url",
        "charset",
    )
    db.insert(
        "trade",
        **{name: session[name] for name in copied},
        trade_no=trade_no,
        status="WAIT_BUYER_PAY",
        seller_id=merchant.seller_id,
        seller_email=merchant.seller_email,
        buyer_id=buyer.user_id,
        buyer_logon_id=buyer.masked,
        created_at=now,
        expires_at=session["expires_at"] if session["expires_at"] is not None else now + session["timeout_s"],
    )
    trade = get_trade(db, trade_no)
    record_notification(sim, db, trade, now=now)
    return trade


def pay(sim: Simulation, db: Database, trade_no: str) -> Row:
    """The buyer pays. Raises GatewayError unless the trade is waiting for payment."""
    now = sim.now()
    apply_due(sim, db, now)
    trade = get_trade(db, trade_no)
    _require_payable(trade)
    is_final = sim.faults.take("business", _event(trade), ["not_refundable"]) is not None
    db.run(
        "UPDATE trade SET status = ?, paid_at = ?, finishes_at = ? WHERE trade_no = ? AND status = "
        "'WAIT_BUYER_PAY'",
        "TRADE_FINISHED" if is_final else "TRADE_SUCCESS",
        now,
        None if is_final else now + sim.settings.refund_window_s,
        trade_no,
    )
    move_balance(db, trade["app_id"], trade["total_fen"])
    trade = get_trade(db, trade_no)
    record_notification(sim, db, trade, now=now)
    other = _find_another(db, trade, now) if sim.faults.has("double_pay") else None
    if other is not None and sim.faults.take("business", _event(trade), ["double_pay"]) is not None:
        # If the first scan fixed other data, the second payment fails.
        with suppress(GatewayError):
            scan_and_pay(sim, db, other, Buyer(trade["buyer_id"], trade["buyer_logon_id"]))
    return trade


def scan_and_pay(sim: Simulation, db: Database, session: Row, buyer: Buyer) -> Row:
    return pay(sim, db, scan(sim, db, session, buyer)["trade_no"])


def close(sim: Simulation, db: Database, trade: Row, *, at: float) -> Row:
    """Ends an unpaid trade; its out_trade_no can't be used again. Raises GatewayError for any other
    status.
    """
    if trade["status"] == "TRADE_CLOSED":
        raise business_error(sim.settings.close_closed_code, out_trade_no=trade["out_trade_no"])
    if trade["status"] != "WAIT_BUYER_PAY":
        raise business_error("ACQ.TRADE_STATUS_ERROR", out_trade_no=trade["out_trade_no"])
    db.run(
        "UPDATE trade SET status = 'TRADE_CLOSED', closed_at = ? WHERE trade_no = ? AND status = "
        "'WAIT_BUYER_PAY'",
        at,
        trade["trade_no"],
    )
    closed = get_trade(db, trade["trade_no"])
    record_notification(sim, db, closed, now=sim.now())
    return closed


def apply_due(sim: Simulation, db: Database, now: float) -> None:
    """Applies what has become due: expiries and ends of refund windows."""
    for trade in db.list(
        "SELECT * FROM trade WHERE status = 'WAIT_BUYER_PAY' AND expires_at <= ? ORDER BY expires_at", now
    ):
        close(sim, db, trade, at=trade["expires_at"])
    for trade in db.list(
        "SELECT * FROM trade WHERE status = 'TRADE_SUCCESS' AND finishes_at <= ? ORDER BY finishes_at", now
    ):
        db.run(
            "UPDATE trade SET status = 'TRADE_FINISHED' WHERE trade_no = ? AND status = 'TRADE_SUCCESS'",
            trade["trade_no"],
        )
        record_notification(sim, db, get_trade(db, trade["trade_no"]), now=now)


def find_trade(db: Database, app_id: str, *, trade_no: str = "", out_trade_no: str = "") -> Row | None:
    """`trade_no` takes precedence."""
    if trade_no:
        return db.find("SELECT * FROM trade WHERE app_id = ? AND trade_no = ?", app_id, trade_no)
    return db.find("SELECT * FROM trade WHERE app_id = ? AND out_trade_no = ?", app_id, out_trade_no)


def get_trade(db: Database, trade_no: str) -> Row:
    trade = db.find("SELECT * FROM trade WHERE trade_no = ?", trade_no)
    if trade is None:
        raise LookupError(f"no trade {trade_no}")
    return trade


def _require_payable(trade: Row) -> None:
    if trade["status"] == "TRADE_CLOSED":
        raise business_error("ACQ.TRADE_HAS_CLOSE")
    if trade["status"] != "WAIT_BUYER_PAY":
        raise business_error("ACQ.TRADE_HAS_SUCCESS")


def _require_same(trade: Row, total_fen: int, subject: str) -> None:
    if (trade["total_fen"], trade["subject"]) != (total_fen, subject):
        raise business_error("ACQ.CONTEXT_INCONSISTENT", f"：原订单金额 {format_yuan(trade['total_fen'])}")


def _find_another(db: Database, trade: Row, now: float) -> Row | None:
    """Another open pay request with the same subject, such as a second tab's."""
    return db.find(
        "SELECT * FROM session WHERE app_id = ? AND subject = ? AND coalesce(expires_at > ?, 1)"
        " AND out_trade_no NOT IN (SELECT out_trade_no FROM trade"
        " WHERE app_id = session.app_id AND status != 'WAIT_BUYER_PAY') ORDER BY created_at DESC, rowid DESC",
        trade["app_id"],
        trade["subject"],
        now,
    )


def _event(trade: Row) -> Event:
    return Event(app_id=trade["app_id"], out_trade_no=trade["out_trade_no"], trade_status=trade["status"])


def list_trades(db: Database, *, status: str = "", limit: int = 100) -> list[Row]:
    """Newest first."""
    values: list[Any] = [status, status, limit]
    return db.list(
        "SELECT * FROM trade WHERE ? = '' OR status = ? ORDER BY created_at DESC, rowid DESC LIMIT ?", *values
    )
