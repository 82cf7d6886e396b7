"""What the panel shows, in one request."""

from typing import Any

from flask import Response, jsonify

from payments.simulator.control.base import blueprint, simulation
from payments.simulator.control.state import describe_state
from payments.simulator.due import apply_all_due
from payments.simulator.store import Database
from payments.simulator.views import view_row, view_rows

# Keeps the page short.
SHOWN = 50

LATEST_SESSIONS = (
    "SELECT *, rowid AS n FROM session WHERE rowid IN (SELECT max(rowid) FROM session "
    "GROUP BY app_id, out_trade_no) ORDER BY n DESC LIMIT ?"
)
LATEST_DELIVERIES = (
    "SELECT delivery.delivery_id, delivery.notify_id, delivery.out_trade_no, delivery.attempt, "
    "delivery.copy, delivery.sent_at,"
    " delivery.status, delivery.answer, delivery.error, delivery.is_accepted, notification.trade_status, "
    "notification.state,"
    " notification.next_at, delivery.attempt = notification.attempts AS is_latest"
    " FROM delivery JOIN notification USING (notify_id) ORDER BY delivery_id DESC LIMIT ?"
)
LATEST_REQUESTS = (
    "SELECT request_id, at, method, out_trade_no, http_status, code, sub_code, fault, duration_ms FROM "
    "gateway_request"
    " ORDER BY request_id DESC LIMIT ?"
)


@blueprint.get("/overview")
def get_overview() -> Response:
    sim = simulation()
    with sim.store.transaction() as db:
        apply_all_due(sim, db)
        return jsonify(
            state=describe_state(),
            orders=_list_orders(db),
            deliveries=view_rows(db.list(LATEST_DELIVERIES, SHOWN)),
            requests=view_rows(db.list(LATEST_REQUESTS, SHOWN)),
        )


def _list_orders(db: Database) -> list[dict[str, Any]]:
    """The latest orders, scanned or not."""
    orders = []
    for session in db.list(LATEST_SESSIONS, SHOWN):
        trade = db.find(
            "SELECT * FROM trade WHERE app_id = ? AND out_trade_no = ?",
            session["app_id"],
            session["out_trade_no"],
        )
        orders.append({"status": "NOT_EXIST", **view_row(trade if trade is not None else session)})
    return orders
