"""The control API's representation of rows."""

from typing import Any

from payments.simulator.money import format_yuan
from payments.simulator.store import Database, Row, as_dict
from payments.simulator.times import format_time


def view_row(row: Row) -> dict[str, Any]:
    """Converts fen to yuan strings and adds Beijing time to each `..._at`."""
    shown: dict[str, Any] = {}
    for name, value in as_dict(row).items():
        if name.endswith("_fen"):
            shown[name.removesuffix("_fen") + "_amount"] = format_yuan(value)
            continue
        shown[name] = value
        if (name.endswith("_at") or name == "at") and value is not None:
            shown[f"{name}_text"] = format_time(value)
    return shown


def view_rows(rows: list[Row]) -> list[dict[str, Any]]:
    return [view_row(row) for row in rows]


def view_order(db: Database, app_id: str, out_trade_no: str) -> dict[str, Any] | None:
    """Everything known about an order; None if it is unknown."""
    where = "WHERE app_id = ? AND out_trade_no = ?"
    trade = db.find(f"SELECT * FROM trade {where}", app_id, out_trade_no)  # noqa: S608 -- constants of ours
    sessions = db.list(f"SELECT * FROM session {where} ORDER BY rowid", app_id, out_trade_no)  # noqa: S608
    if trade is None and not sessions:
        return None
    notifications = view_rows(
        db.list(f"SELECT * FROM notification {where} ORDER BY rowid", app_id, out_trade_no)  # noqa: S608
    )
    for notification in notifications:
        deliveries = db.list(
            "SELECT * FROM delivery WHERE notify_id = ? ORDER BY delivery_id", notification["notify_id"]
        )
        notification["deliveries"] = view_rows(deliveries)
    refunds = (
        db.list("SELECT * FROM refund WHERE trade_no = ? ORDER BY refund_id", trade["trade_no"])
        if trade
        else []
    )
    requests = db.list(
        f"SELECT * FROM gateway_request {where} ORDER BY request_id DESC LIMIT 200",  # noqa: S608
        app_id,
        out_trade_no,
    )
    return {
        "app_id": app_id,
        "out_trade_no": out_trade_no,
        "status": trade["status"] if trade else "NOT_EXIST",
        "trade": view_row(trade) if trade else None,
        "sessions": view_rows(sessions),
        "refunds": view_rows(refunds),
        "notifications": notifications,
        "requests": view_rows(requests),
    }


def find_app_id(db: Database, out_trade_no: str) -> str:
    """The app that an order belongs to, by its latest pay request; empty if there is none."""
    row = db.find("SELECT app_id FROM session WHERE out_trade_no = ? ORDER BY rowid DESC", out_trade_no)
    return row["app_id"] if row is not None else ""
