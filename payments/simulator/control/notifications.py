"""The control API's notifications: list, replay, and craft new ones."""

from typing import Any

from flask import Response, jsonify, request
from werkzeug.exceptions import NotFound

from payments.simulator.control.base import blueprint, engine, read_json, read_limit, simulation
from payments.simulator.crafting import craft
from payments.simulator.store import Row
from payments.simulator.views import view_row, view_rows


@blueprint.get("/notifications")
def list_notifications() -> Response:
    sql = (
        "SELECT * FROM notification WHERE ? IN ('', out_trade_no) AND ? IN ('', state) ORDER BY "
        "rowid DESC LIMIT ?"
    )
    with simulation().store.transaction() as db:
        rows = db.list(sql, request.args.get("out_trade_no", ""), request.args.get("state", ""), read_limit())
    return jsonify(notifications=view_rows(rows))


@blueprint.get("/notifications/<notify_id>")
def get_notification(notify_id: str) -> Response:
    return jsonify(_view(_get(notify_id)))


@blueprint.get("/deliveries")
def list_deliveries() -> Response:
    sql = "SELECT * FROM delivery WHERE ? IN ('', out_trade_no) ORDER BY delivery_id DESC LIMIT ?"
    with simulation().store.transaction() as db:
        rows = db.list(sql, request.args.get("out_trade_no", ""), read_limit())
    return jsonify(deliveries=view_rows(rows))


@blueprint.post("/notifications/<notify_id>/replay")
def replay_notification(notify_id: str) -> Response:
    """Sends a notification again now: the same bytes as last time, or newly signed with `fresh`.

    Its schedule doesn't change.
    """
    row = _get(notify_id)
    with simulation().store.transaction() as db:
        old = db.find("SELECT * FROM delivery WHERE notify_id = ? ORDER BY delivery_id DESC", notify_id)
    if read_json().get("fresh") or old is None:
        engine().send_once(row, [], row["attempts"], 1)
    else:
        engine().replay(old)
    return jsonify(_view(row))


@blueprint.post("/notifications/craft")
def craft_notification() -> tuple[Response, int]:
    """Sends a notification that the caller composed, and waits for the answer."""
    return jsonify(_view(craft(simulation(), engine(), read_json()))), 201


def _get(notify_id: str) -> Row:
    with simulation().store.transaction() as db:
        row = db.find("SELECT * FROM notification WHERE notify_id = ?", notify_id)
    if row is None:
        raise NotFound(f"there is no notification {notify_id}")
    return row


def _view(row: Row) -> dict[str, Any]:
    with simulation().store.transaction() as db:
        deliveries = db.list(
            "SELECT * FROM delivery WHERE notify_id = ? ORDER BY delivery_id", row["notify_id"]
        )
    return {**view_row(row), "deliveries": view_rows(deliveries)}
