"""Crafted notifications, for tests that need a particular message."""

from collections.abc import Mapping
from typing import Any

from payments.simulator.fault_kinds import KINDS
from payments.simulator.fault_params import read_params
from payments.simulator.faults import Fault
from payments.simulator.messages import MUTATIONS
from payments.simulator.notifications import event_fields, new_notify_id
from payments.simulator.notifier import Notifier
from payments.simulator.settings import STATUSES
from payments.simulator.simulation import Simulation
from payments.simulator.store import Row, dump

KEYS = frozenset({"out_trade_no", "app_id", "trade_status", "url", "fields", "remove", "mutations"})
SHAPES: dict[str, type[dict[str, Any]] | type[list[Any]]] = {
    "fields": dict,
    "remove": list,
    "mutations": list,
}


def craft(sim: Simulation, notifier: Notifier, wish: Mapping[str, Any]) -> Row:
    """Signs a notification of a trade, sends it immediately, whatever the schedule and triggers, and returns
    it.

    `fields` overrides or adds, `remove` leaves out, `mutations` are notification faults ({"kind": ...,
    "params": {...}}). Raises ValueError for an invalid request.
    """
    if unknown := set(wish) - KEYS:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(sorted(KEYS))}")
    if wrong := [name for name, kind in SHAPES.items() if not isinstance(wish.get(name, kind()), kind)]:
        raise ValueError(f"{', '.join(wrong)}: fields is a JSON object, remove and mutations are arrays")
    trade = _get_trade(sim, wish)
    faults = [_read_mutation(item) for item in wish.get("mutations", [])]
    status = wish.get("trade_status", trade["status"])
    if status not in STATUSES:
        raise ValueError(f"trade_status is one of {', '.join(STATUSES)}")
    fields = {
        **event_fields(sim, trade),
        "trade_status": status,
        **{name: str(value) for name, value in wish.get("fields", {}).items()},
    }
    for name in wish.get("remove", []):
        fields.pop(str(name), None)
    url = str(wish.get("url") or trade["notify_url"])
    if not url.startswith(("http://", "https://")):
        raise ValueError("the pay request gave no notify_url; name a url")
    now = sim.now()
    notify_id = new_notify_id(now)
    with sim.store.transaction() as db:
        db.insert(
            "notification",
            notify_id=notify_id,
            app_id=trade["app_id"],
            trade_no=trade["trade_no"],
            out_trade_no=trade["out_trade_no"],
            trade_status=status,
            url=url,
            charset=trade["charset"],
            fields=dump(fields),
            # Never due: it is sent once, below.
            state="exhausted",
            created_at=now,
        )
    outcome = notifier.send_once(_get_notification(sim, notify_id), faults, 1, 0)
    with sim.store.transaction() as db:
        state = "delivered" if outcome.is_accepted else "exhausted"
        db.run("UPDATE notification SET attempts = 1, state = ? WHERE notify_id = ?", state, notify_id)
    return _get_notification(sim, notify_id)


def _get_trade(sim: Simulation, wish: Mapping[str, Any]) -> Row:
    sql = "SELECT * FROM trade WHERE out_trade_no = ? AND ? IN ('', app_id) ORDER BY rowid DESC"
    with sim.store.transaction() as db:
        trade = db.find(sql, str(wish.get("out_trade_no", "")), str(wish.get("app_id", "")))
    if trade is None:
        raise ValueError(f"there is no trade {wish.get('out_trade_no')!r}: scan or pay it first")
    return trade


def _get_notification(sim: Simulation, notify_id: str) -> Row:
    with sim.store.transaction() as db:
        row = db.find("SELECT * FROM notification WHERE notify_id = ?", notify_id)
    if row is None:
        raise ValueError("the simulator was wiped meanwhile")
    return row


def _read_mutation(item: Any) -> Fault:
    kind = KINDS.get(str(item.get("kind"))) if isinstance(item, dict) else None
    if kind is None or kind.name not in MUTATIONS:
        raise ValueError(f"a mutation is {{kind, params}} with one of {', '.join(MUTATIONS)}")
    return Fault(kind.name, read_params(kind, item.get("params", {})))
