"""Refunds: once per out_request_no, and never more than was paid."""

from payments.simulator.errors import business_error
from payments.simulator.faults import Event
from payments.simulator.merchants import move_balance
from payments.simulator.notifications import record_notification
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database, Row
from payments.simulator.trades import get_trade

# The due time of a failed refund: never.
NEVER = None


def request_refund(
    sim: Simulation, db: Database, trade: Row, *, out_request_no: str, amount_fen: int, reason: str
) -> tuple[Row, bool]:
    """Refunds all or part of a trade. Returns the refund and whether this call moved money (`fund_change`).

    A repeated call with the same number and amount moves no money. Raises GatewayError if the refund is
    refused.
    """
    earlier = find_refund(db, trade["trade_no"], out_request_no)
    if earlier is not None:
        if earlier["amount_fen"] != amount_fen:
            raise business_error("ACQ.DISCORDANT_REPEAT_REQUEST")
        return earlier, False
    _require_refundable(sim, db, trade, amount_fen)
    event = Event(app_id=trade["app_id"], out_trade_no=trade["out_trade_no"], trade_status=trade["status"])
    fault = sim.faults.take("business", event, ["balance_empty", "refund_pending", "refund_failed"])
    if fault is not None and fault.kind == "balance_empty":
        raise business_error("ACQ.SELLER_BALANCE_NOT_ENOUGH")
    if not move_balance(db, trade["app_id"], -amount_fen):
        raise business_error("ACQ.SELLER_BALANCE_NOT_ENOUGH")
    now = sim.now()
    kind = fault.kind if fault else ""
    db.insert(
        "refund",
        trade_no=trade["trade_no"],
        out_request_no=out_request_no,
        amount_fen=amount_fen,
        reason=reason,
        status="failed" if kind == "refund_failed" else "pending",
        requested_at=now,
        due_at=now + float(fault.params["seconds"]) if fault and kind == "refund_pending" else NEVER,
    )
    refund = _get_refund(db, trade["trade_no"], out_request_no)
    if kind == "refund_failed":
        move_balance(db, trade["app_id"], amount_fen)
    if kind:
        return refund, False
    return _complete(sim, db, refund, at=now), True


def apply_due_refunds(sim: Simulation, db: Database, now: float) -> None:
    """Completes refunds that a fault has delayed."""
    for refund in db.list(
        "SELECT * FROM refund WHERE status = 'pending' AND due_at <= ? ORDER BY due_at", now
    ):
        _complete(sim, db, refund, at=refund["due_at"])


def find_refund(db: Database, trade_no: str, out_request_no: str) -> Row | None:
    return db.find("SELECT * FROM refund WHERE trade_no = ? AND out_request_no = ?", trade_no, out_request_no)


def _get_refund(db: Database, trade_no: str, out_request_no: str) -> Row:
    refund = find_refund(db, trade_no, out_request_no)
    if refund is None:
        raise LookupError(f"no refund {out_request_no} of {trade_no}")
    return refund


def _require_refundable(sim: Simulation, db: Database, trade: Row, amount_fen: int) -> None:
    refused = {
        "WAIT_BUYER_PAY": "ACQ.TRADE_STATUS_ERROR",
        "TRADE_CLOSED": "ACQ.TRADE_HAS_CLOSE",
        "TRADE_FINISHED": "ACQ.TRADE_HAS_FINISHED",
    }
    if trade["status"] in refused:
        raise business_error(refused[trade["status"]])
    pending = db.find(
        "SELECT total(amount_fen) AS fen, max(requested_at) AS last FROM refund WHERE trade_no = ? AND "
        "status = 'pending'",
        trade["trade_no"],
    )
    reserved = int(pending["fen"]) if pending else 0
    if amount_fen > trade["total_fen"] - trade["refunded_fen"] - reserved:
        raise business_error("ACQ.REASON_TRADE_REFUND_FEE_ERR")
    latest = db.find("SELECT max(requested_at) AS at FROM refund WHERE trade_no = ?", trade["trade_no"])
    if latest and latest["at"] is not None and sim.now() - latest["at"] < sim.settings.refund_interval_s:
        raise business_error(sim.settings.refund_too_soon_code)


def _complete(sim: Simulation, db: Database, refund: Row, *, at: float) -> Row:
    """Moves the money; a fully refunded trade closes."""
    db.run(
        "UPDATE refund SET status = 'succeeded', refunded_at = ? WHERE refund_id = ? AND status = 'pending'",
        at,
        refund["refund_id"],
    )
    db.run(
        "UPDATE trade SET refunded_fen = refunded_fen + ?,"
        " status = CASE WHEN refunded_fen + ? = total_fen THEN 'TRADE_CLOSED' ELSE status END,"
        " closed_at = CASE WHEN refunded_fen + ? = total_fen THEN ? ELSE closed_at END WHERE trade_no = ?",
        refund["amount_fen"],
        refund["amount_fen"],
        refund["amount_fen"],
        at,
        refund["trade_no"],
    )
    done = _get_refund(db, refund["trade_no"], refund["out_request_no"])
    record_notification(sim, db, get_trade(db, refund["trade_no"]), now=sim.now(), refund=done)
    return done
