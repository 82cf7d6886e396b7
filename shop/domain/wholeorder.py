"""Orders with everything that their buyer is shown, by one bare statement: a tenth of the price of the ORM's three, and all of one moment."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, models

from shop.models import Order, OrderEvent, OrderLine, OrderRequest


@dataclass(frozen=True, slots=True)
class WholeOrder:
    """A buyer's request and what became of it. Without an order (yet) there are no lines and events; they stand as they were made."""

    request: OrderRequest
    order: Order | None
    lines: Sequence[OrderLine]
    events: Sequence[OrderEvent]


def find_whole_order(*, account_id: int, order_number: str) -> WholeOrder | None:
    """The buyer's order or request, or None if the buyer has none of that number."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [order_number, account_id])
        row = cursor.fetchone()
    if row is None:
        return None
    request, order, (lines, events) = row[: len(_REQUEST)], row[len(_REQUEST) : -2], row[-2:]
    return WholeOrder(
        _request(*request),
        Order.from_db(connection.alias, _ORDER, order) if order[0] is not None else None,
        _lines(lines),
        [_event(*event) for event in json.loads(events or "[]")],
    )


class OrderHistory:
    """A buyer's orders with their lines, newest first, in `status` or all. Counting them is a statement, and so is each cut such as `[20:40]`."""

    def __init__(self, *, account_id: int, status: str | None = None) -> None:
        self._filter = {"account_id": account_id, "status": status}

    def count(self) -> int:
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, self._filter)
            count: int = cursor.fetchone()[0]
        return count

    def __getitem__(self, cut: slice) -> list[tuple[Order, list[OrderLine]]]:
        with connection.cursor() as cursor:
            cursor.execute(_LIST, {**self._filter, "offset": cut.start, "limit": cut.stop - cut.start})
            return [(Order.from_db(connection.alias, _ORDER, order), _lines(lines)) for *order, lines in cursor.fetchall()]


def _lines(aggregated: str | None) -> list[OrderLine]:
    return [OrderLine.from_db(connection.alias, _LINE, line) for line in json.loads(aggregated or "[]", parse_float=Decimal)]


def _request(order_number: str, status: str, created_at: datetime, *error: str) -> OrderRequest:
    slug, message, details = error
    return OrderRequest(
        order_number=order_number,
        status=status,
        created_at=created_at,
        error_slug=slug,
        error_message=message,
        error_details=json.loads(details),
    )


def _event(pk: int, kind: str, at: str, details: dict[str, Any]) -> OrderEvent:
    return OrderEvent(id=pk, kind=kind, at=datetime.fromisoformat(at), details=details)


def _names(model: type[models.Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def _columns(table: str, names: Sequence[str]) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


_REQUEST = ["order_number", "status", "created_at", "error_slug", "error_message", "error_details"]
_ORDER, _LINE = _names(Order), _names(OrderLine)
_EVENT = ["id", "kind", "at", "details"]

_LINES = f"""(
    SELECT json_agg(json_build_array({_columns("line", _LINE)}) ORDER BY line.id)::text
    FROM shop_orderline AS line WHERE line.order_id = made.id
)"""  # noqa: S608 - names of ours

# An order's number and owner stand in its request's row, too.
_READ = f"""
    SELECT {_columns("request", _REQUEST)}, {_columns("made", _ORDER)}, {_LINES}, (
        SELECT json_agg(json_build_array({_columns("event", _EVENT)}) ORDER BY event.id)::text
        FROM shop_orderevent AS event WHERE event.order_id = made.id
    )
    FROM shop_orderrequest AS request LEFT JOIN shop_order AS made ON made.request_id = request.id
    WHERE request.order_number = %s AND request.account_id = %s
"""  # noqa: S608 - names of ours

_OF_BUYER = "FROM shop_order AS made WHERE account_id = %(account_id)s AND (%(status)s::text IS NULL OR status = %(status)s)"
_COUNT = f"SELECT count(*) {_OF_BUYER}"
_LIST = f"SELECT {_columns('made', _ORDER)}, {_LINES} {_OF_BUYER} ORDER BY made.id DESC OFFSET %(offset)s LIMIT %(limit)s"
