"""Orders with everything that their buyer is shown, read by one bare statement: ten times cheaper than the
ORM's three, and consistent within one moment.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, models

from shop.domain import sql
from shop.domain.purchase import Purchase
from shop.models import Order, OrderEvent, OrderLine, OrderRequest


@dataclass(frozen=True, slots=True)
class RequestedLine:
    """A course that was asked for, as it is now, at the price (yuan) that its checkout showed, or today's.

    Without a policy of that course there is no period, and without either there is no price.
    """

    course_id: int
    course_name: str
    course_img: str
    policy_id: int | None
    valid_period: int | None
    price: Decimal | None
    coupon_record_id: int | None


@dataclass(frozen=True, slots=True)
class WholeOrder:
    """A buyer's request and what became of it.

    Without an order (yet) there are no lines and events; they stand as they were made.

    `purchase` is what was asked for, with its lines in `requested`, as long as no order has been made of it.
    A list leaves out the events.
    """

    request: OrderRequest
    order: Order | None
    lines: Sequence[OrderLine]
    events: Sequence[OrderEvent]
    purchase: Purchase | None
    requested: Sequence[RequestedLine]


def find_whole_order(*, account_id: int, order_number: str) -> WholeOrder | None:
    """The buyer's order or request, or None if the buyer has none of that number."""
    row = sql.read_row(_READ, [order_number, account_id])
    return None if row is None else _whole(row)


class OrderHistory:
    """A buyer's orders with their lines, and the requests that aren't orders (yet), newest first, in `status`
    or all.

    Counting them is a statement, and so is each cut such as `[20:40]`.
    """

    def __init__(self, *, account_id: int, status: str | None = None) -> None:
        self._filter = {"account_id": account_id, "status": status}

    def count(self) -> int:
        ((count,),) = sql.read(_COUNT, self._filter)
        return int(count)

    def __getitem__(self, cut: slice) -> list[WholeOrder]:
        found = sql.read(_LIST, {**self._filter, "offset": cut.start, "limit": cut.stop - cut.start})
        return [_whole((*row, None)) for row in found]


def _whole(row: Sequence[Any]) -> WholeOrder:
    request, order, (requested, lines, events) = row[: len(_REQUEST)], row[len(_REQUEST) : -3], row[-3:]
    *fields, body = request
    purchase = Purchase.from_json(json.loads(body)) if order[0] is None else None
    return WholeOrder(
        _request(*fields),
        Order.from_db(connection.alias, _ORDER, order) if order[0] is not None else None,
        _lines(lines),
        [_event(*event) for event in json.loads(events or "[]")],
        purchase,
        _requested(requested, purchase) if purchase else [],
    )


def _requested(aggregated: str | None, purchase: Purchase) -> list[RequestedLine]:
    prices = purchase.shown.prices if purchase.shown else {}
    lines = [RequestedLine(*line) for line in json.loads(aggregated or "[]", parse_float=Decimal)]
    return [replace(line, price=prices.get(line.course_id, line.price)) for line in lines]


def _lines(aggregated: str | None) -> list[OrderLine]:
    return [
        OrderLine.from_db(connection.alias, _LINE, line)
        for line in json.loads(aggregated or "[]", parse_float=Decimal)
    ]


def _request(order_number: str, status: str, created_at: datetime, *stored: str) -> OrderRequest:
    slug, message, details = stored
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


_REQUEST = ["order_number", "status", "created_at", "error_slug", "error_message", "error_details", "body"]
_ORDER, _LINE = _names(Order), _names(OrderLine)
_EVENT = ["id", "kind", "at", "details"]

_LINES = f"""(
    SELECT json_agg(json_build_array({_columns("line", _LINE)}) ORDER BY line.id)::text
    FROM shop_orderline AS line WHERE line.order_id = made.id
)"""  # noqa: S608 - names of ours

# What was asked for, unless an order tells it. A price of Decimal's digits stays exact in JSON.
_REQUESTED = """
    CASE WHEN made.id IS NULL THEN (
        SELECT json_agg(
            json_build_array(
                course.id, course.name, course.course_img, policy.id, policy.valid_period, policy.price,
                (wanted.line->>2)::bigint
            ) ORDER BY wanted.place
        )::text
        FROM jsonb_array_elements(request.body->'lines') WITH ORDINALITY AS wanted(line, place)
        JOIN shop_course AS course ON course.id = (wanted.line->>0)::bigint
        LEFT JOIN shop_pricepolicy AS policy ON policy.id = (wanted.line->>1)::bigint
            AND policy.course_id = course.id
    ) END
"""
_SHOWN = f"{_columns('request', _REQUEST)}, {_columns('made', _ORDER)}, {_REQUESTED}, {_LINES}"
_FROM = "FROM shop_orderrequest AS request LEFT JOIN shop_order AS made ON made.request_id = request.id"

# An order's number and owner stand in its request's row, too.
_READ = f"""
    SELECT {_SHOWN}, (
        SELECT json_agg(json_build_array({_columns("event", _EVENT)}) ORDER BY event.id)::text
        FROM shop_orderevent AS event WHERE event.order_id = made.id
    )
    {_FROM} WHERE request.order_number = %s AND request.account_id = %s
"""  # noqa: S608 - names of ours

_OF_BUYER = f"""
    {_FROM} WHERE request.account_id = %(account_id)s
    AND (%(status)s::text IS NULL OR COALESCE(made.status, request.status) = %(status)s)
"""
_COUNT = f"SELECT count(*) {_OF_BUYER}"
_LIST = f"SELECT {_SHOWN} {_OF_BUYER} ORDER BY request.id DESC OFFSET %(offset)s LIMIT %(limit)s"
