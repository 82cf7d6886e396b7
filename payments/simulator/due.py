"""Changes that only the clock causes."""

from payments.simulator.refunds import apply_due_refunds
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database
from payments.simulator.trades import apply_due


def apply_all_due(sim: Simulation, db: Database) -> None:
    now = sim.now()
    apply_due(sim, db, now)
    apply_due_refunds(sim, db, now)


def find_next_due(db: Database) -> float | None:
    """The earliest virtual moment at which something becomes due; None if nothing will."""
    row = db.find(
        "SELECT min(at) AS at FROM ("
        "SELECT min(expires_at) AS at FROM trade WHERE status = 'WAIT_BUYER_PAY'"
        " UNION ALL SELECT min(finishes_at) FROM trade WHERE status = 'TRADE_SUCCESS'"
        " UNION ALL SELECT min(due_at) FROM refund WHERE status = 'pending'"
        " UNION ALL SELECT min(next_at) FROM notification WHERE state = 'waiting')"
    )
    return None if row is None else row["at"]
