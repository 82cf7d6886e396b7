"""The order's timeline: one event for each change, with what caused it."""

from datetime import datetime
from typing import Any

from shop.models import Order, OrderEvent


def event(order: Order, kind: OrderEvent.Kind, *, now: datetime, cause: str, **details: Any) -> OrderEvent:
    """An event to be saved in the transaction of the change itself. `cause` is an HTTP request's or a task's id."""
    return OrderEvent(order=order, kind=kind, at=now, cause=cause, details=details)
