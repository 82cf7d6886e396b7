"""The order's timeline: one event for each change, with what caused it.

Whoever writes an event raises the order's version with it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shop.domain import sql
from shop.domain.polling.answer_cache import mark_changed
from shop.models import Account, Order, OrderEvent

_RAISE_VERSIONS = "UPDATE shop_order SET version = version + 1 WHERE id = ANY(%s)"


def event(order: Order, kind: OrderEvent.Kind, *, now: datetime, cause: str, **details: Any) -> OrderEvent:
    """An event to be recorded in the transaction of the change itself.

    `cause` is an HTTP request's or a task's id.
    """
    return OrderEvent(order=order, kind=kind, at=now, cause=cause, details=details)


def by_staff(staff: Account | None, why: str = "") -> dict[str, str]:
    """Who of staff did it and why, as details of an event. Buyers don't see them: see `public_details`."""
    if staff is None:
        return {}
    return {"staff": staff.get_username(), **({"staff_note": why} if why else {})}


# The details that are moments, in ISO 8601.
MOMENTS = frozenset({"before", "expires_at", "valid_from", "valid_until"})


def public_details(details: dict[str, Any]) -> dict[str, Any]:
    """What the order's buyer may know of an event's details."""
    return (
        {name: value for name, value in details.items() if not name.startswith("staff")}
        if "staff" in details
        else details
    )


def record(events: Sequence[OrderEvent]) -> None:
    """Saves events in the caller's transaction, raises their orders' versions, and wakes the pollers after
    the commit.

    The caller holds the locks of the orders.
    """
    if events:
        sql.write(_RAISE_VERSIONS, [sorted({entry.order_id for entry in events})])
        open_timelines(events)


def open_timelines(events: Sequence[OrderEvent]) -> None:
    """Saves the first events of orders that this transaction has made: nobody has seen them, so their version
    stays the first.
    """
    sql.insert(events)
    mark_changed({entry.order.order_number for entry in events})
