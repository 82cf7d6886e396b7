"""The order's timeline: one event for each change, with what caused it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shop.domain import rows
from shop.domain.versions import mark_changed
from shop.models import Order, OrderEvent


def event(order: Order, kind: OrderEvent.Kind, *, now: datetime, cause: str, **details: Any) -> OrderEvent:
    """An event to be recorded in the transaction of the change itself. `cause` is an HTTP request's or a task's id."""
    return OrderEvent(order=order, kind=kind, at=now, cause=cause, details=details)


def record(events: Sequence[OrderEvent]) -> None:
    """Saves events in the caller's transaction, which also counts their orders' versions up, and wakes the pollers after its commit."""
    rows.insert(events)
    mark_changed({entry.order.order_number for entry in events})
