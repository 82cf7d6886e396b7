"""The control API's global endpoints: state, settings, the request log, wipe."""

from typing import Any

from flask import Response, jsonify, request

from payments.simulator.control.base import blueprint, read_json, read_limit, simulation
from payments.simulator.control.clock import describe_clock
from payments.simulator.views import view_rows


@blueprint.get("/requests")
def list_requests() -> Response:
    sql = (
        "SELECT * FROM gateway_request WHERE ? IN ('', out_trade_no) AND ? IN ('', method) ORDER "
        "BY request_id DESC LIMIT ?"
    )
    with simulation().store.transaction() as db:
        rows = db.list(
            sql, request.args.get("out_trade_no", ""), request.args.get("method", ""), read_limit()
        )
    return jsonify(requests=view_rows(rows))


@blueprint.get("/state")
def get_state() -> Response:
    """Counts, clock and settings."""
    return jsonify(describe_state())


@blueprint.patch("/settings")
def change_settings() -> Response:
    simulation().settings_book.change(read_json())
    return jsonify(describe_state())


@blueprint.delete("/settings")
def reset_settings() -> Response:
    simulation().settings_book.reset()
    return jsonify(describe_state())


@blueprint.post("/wipe")
def wipe() -> Response:
    simulation().wipe()
    return jsonify(describe_state())


def describe_state() -> dict[str, Any]:
    sim = simulation()
    with sim.store.transaction() as db:
        trades = {
            row["status"]: row["n"]
            for row in db.list("SELECT status, count(*) AS n FROM trade GROUP BY status")
        }
        notifications = {
            row["state"]: row["n"]
            for row in db.list("SELECT state, count(*) AS n FROM notification GROUP BY state")
        }
        unscanned = db.find(
            "SELECT count(DISTINCT out_trade_no || app_id) AS n FROM session WHERE NOT EXISTS"
            " (SELECT 1 FROM trade WHERE trade.app_id = session.app_id AND trade.out_trade_no = "
            "session.out_trade_no)"
        )
        merchants = view_rows(
            db.list("SELECT app_id, seller_id, seller_email, balance_fen FROM merchant ORDER BY app_id")
        )
        faults = view_rows(sim.faults.list_rules())
    return {
        "clock": describe_clock(),
        "open_requests": unscanned["n"] if unscanned else 0,
        "trades": trades,
        "notifications": notifications,
        "merchants": merchants,
        "faults": faults,
        "settings": sim.settings.__dict__,
    }
