"""The merchant's console: refunds that a person makes there, without the shop."""

import secrets

from payments.simulator.refunds import request_refund
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database, Row
from payments.simulator.times import beijing

REASON = "商家后台退款"


def refund_in_console(
    sim: Simulation,
    db: Database,
    trade: Row,
    *,
    amount_fen: int | None,
    out_request_no: str = "",
    reason: str = "",
) -> Row:
    """Refunds an amount, or all that is left. Without a number the console generates one.

    Raises GatewayError if the refund is refused.
    """
    left_fen = trade["total_fen"] - trade["refunded_fen"]
    refund, _ = request_refund(
        sim,
        db,
        trade,
        out_request_no=out_request_no or new_refund_number(sim.now()),
        amount_fen=left_fen if amount_fen is None else amount_fen,
        reason=reason or REASON,
    )
    return refund


def new_refund_number(now: float) -> str:
    """28 digits, like a trade number."""
    return f"{beijing(now):%Y%m%d%H%M%S}{secrets.randbelow(10**14):014d}"
