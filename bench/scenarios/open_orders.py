"""What a scenario begins with: fresh buyers, and orders that wait for their money, bought over HTTP."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bench.seed import Buyer, add_buyers
from bench.stage import Stage

PATH, REQUESTS = "/api/v1/orders/", "shop_orderrequest"


@dataclass(frozen=True)
class OpenOrder:
    """An order with its buyer and the number of its open payment."""

    order_number: str
    buyer: Buyer
    out_trade_no: str


def seed_buyers(stage: Stage, count: int) -> list[Buyer]:
    """Fresh buyers, and statistics that know of them."""
    with stage.connect() as connection:
        buyers = add_buyers(connection, count)
        stage.vacuum(connection)
    return buyers


def seed_open_orders(stage: Stage, count: int) -> list[OpenOrder]:
    """Orders with an open payment each, that nothing becomes due of while something is measured.

    Raises: RuntimeError when the shop refuses one.
    """
    buyers = seed_buyers(stage, count)
    with stage.connect() as connection:
        placed = stage.send([buyer.order_request(PATH) for buyer in buyers])
        stage.wait_drained(connection, REQUESTS)
        numbers = [answered(answer)["order_number"] for answer in placed.answers]
        paying = [
            buyer.post(f"{PATH}{number}/payments/", {"product": "page"})
            for buyer, number in zip(buyers, numbers, strict=True)
        ]
        started = stage.send(paying)
        rows = connection.execute(
            "SELECT o.order_number, p.out_trade_no FROM payments_payment p JOIN shop_order o ON o.id = "
            "p.order_id WHERE o.order_number = ANY(%s)",
            [numbers],
        ).fetchall()
        if len(rows) != count:
            raise RuntimeError(
                f"{count - len(rows)} of {count} payments were not started: {started.not_expected(200)}"
            )
        for table, column in (("shop_order", "id"), ("payments_payment", "order_id")):
            connection.execute(
                f"""
                UPDATE {table} SET available_at = now() + interval '10 years'
                WHERE {column} IN (SELECT id FROM shop_order WHERE order_number = ANY(%s))
                """,
                [numbers],
            )
        stage.vacuum(connection)
    trades = dict(rows)
    return [OpenOrder(number, buyer, trades[number]) for number, buyer in zip(numbers, buyers, strict=True)]


def answered(answer: bytes) -> dict[str, str]:
    """The data of an answer of the API."""
    data: dict[str, str] = json.loads(answer.partition(b"\r\n\r\n")[2])["data"]
    return data


def numbers_of(orders: Sequence[OpenOrder]) -> list[str]:
    return [order.order_number for order in orders]
