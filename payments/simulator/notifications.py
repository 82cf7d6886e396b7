"""Notifications: for which events, and with which fields."""

import json
import secrets

from payments.simulator.faults import Event, Fault
from payments.simulator.money import format_yuan
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database, Row, dump
from payments.simulator.times import beijing, format_time, format_time_ms

PLANNING_FAULTS = ("drop", "delay", "reorder")
# A notification that is delayed beyond its trade's expiry is sent this many virtual seconds after it.
BEYOND_EXPIRY_S = 60.0


def record_notification(
    sim: Simulation, db: Database, trade: Row, *, now: float, refund: Row | None = None
) -> None:
    """Queues a notification of a trade's new state.

    Does nothing if the trade's product doesn't notify of that state, or if the pay request gave no
    notify_url.
    """
    if not trade["notify_url"] or trade["status"] not in sim.settings.notify_triggers.get(
        trade["product"], []
    ):
        return
    event = Event(app_id=trade["app_id"], out_trade_no=trade["out_trade_no"], trade_status=trade["status"])
    plan = {fault.kind: fault for fault in sim.faults.take_all("notification", event, PLANNING_FAULTS)}
    db.insert(
        "notification",
        notify_id=new_notify_id(now),
        app_id=trade["app_id"],
        trade_no=trade["trade_no"],
        out_trade_no=trade["out_trade_no"],
        trade_status=trade["status"],
        url=trade["notify_url"],
        charset=trade["charset"],
        fields=dump(event_fields(sim, trade, refund)),
        state="dropped" if "drop" in plan else "waiting",
        created_at=now,
        next_at=None if "drop" in plan else _first_delivery_at(sim, trade, plan, now),
        is_held=int("reorder" in plan),
    )
    sim.news.set()


def event_fields(sim: Simulation, trade: Row, refund: Row | None = None) -> dict[str, str]:
    """The fields that all deliveries of a notification share; empty fields are never sent."""
    fields = {
        "notify_type": "trade_status_sync",
        "app_id": trade["app_id"],
        "auth_app_id": trade["app_id"],
        "charset": trade["charset"],
        "version": "1.0",
        "trade_no": trade["trade_no"],
        "out_trade_no": trade["out_trade_no"],
        "trade_status": trade["status"],
        "total_amount": format_yuan(trade["total_fen"]),
        "subject": trade["subject"],
        "body": trade["body"],
        "passback_params": trade["passback_params"],
        "buyer_id": trade["buyer_id"],
        "buyer_logon_id": trade["buyer_logon_id"],
        "seller_id": trade["seller_id"],
        "seller_email": trade["seller_email"],
        "gmt_create": format_time(trade["created_at"]),
    }
    if trade["paid_at"] is not None:
        fields |= _payment_fields(trade)
    if refund is not None:
        fields |= _refund_fields(sim, trade, refund)
    if trade["closed_at"] is not None:
        fields["gmt_close"] = format_time(trade["closed_at"])
    return {name: value for name, value in fields.items() if value != ""}


def new_notify_id(now: float) -> str:
    """34 digits, like Alipay's."""
    moment = beijing(now)
    return f"{moment:%Y%m%d}00222{moment:%H%M%S}{secrets.randbelow(10**15):015d}"


def release_held(db: Database, app_id: str, now: float) -> None:
    """Releases notifications that were held back until another one of this merchant had been sent."""
    db.run(
        "UPDATE notification SET is_held = 0, next_at = ? WHERE app_id = ? AND is_held = 1 AND state = "
        "'waiting'",
        now,
        app_id,
    )


def _payment_fields(trade: Row) -> dict[str, str]:
    total = format_yuan(trade["total_fen"])
    return {
        "gmt_payment": format_time(trade["paid_at"]),
        "receipt_amount": total,
        "invoice_amount": total,
        "buyer_pay_amount": total,
        "point_amount": "0.00",
        # camelCase here, fund_channel in query answers, as with Alipay.
        "fund_bill_list": json.dumps(
            [{"amount": total, "fundChannel": "ALIPAYACCOUNT"}], separators=(",", ":")
        ),
    }


def _refund_fields(sim: Simulation, trade: Row, refund: Row) -> dict[str, str]:
    out_biz_no = refund["out_request_no"]
    if out_biz_no == trade["out_trade_no"] and sim.settings.default_out_biz_no == "trade_no":
        out_biz_no = trade["trade_no"]
    return {
        "gmt_refund": format_time_ms(refund["refunded_at"]),
        "refund_fee": format_yuan(trade["refunded_fen"]),
        "send_back_fee": format_yuan(refund["amount_fen"]),
        "out_biz_no": out_biz_no,
    }


def _first_delivery_at(sim: Simulation, trade: Row, plan: dict[str, Fault], now: float) -> float:
    if "delay" in plan:
        params = plan["delay"].params
        return (
            max(now, trade["expires_at"]) + BEYOND_EXPIRY_S
            if params["beyond_expiry"]
            else now + float(params["seconds"])
        )
    if "reorder" in plan:
        return now + float(plan["reorder"].params["seconds"])
    # Gives the browser up to two real seconds to return first.
    return now + 2 * sim.clock.scale if sim.settings.return_order == "return_first" else now
