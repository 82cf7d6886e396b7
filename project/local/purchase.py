"""Buys courses as a buyer would: over HTTP only, from the cart through Alipay's cashier to the enrolment.

Works against any running shop whose Alipay is the simulator. Prints each step with its time. By hand:
`DEMO_PASSWORD=… python -m project.local.purchase http://127.0.0.1:8000 buyer1`.
"""

import argparse
import os
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx

from project.local.api_client import ApiClient, PurchaseError, check_out, suggested_order
from project.local.cashier import pay_at_cashier

SPEND_BEILI = 10  # a little of the balance, so that all four ways to pay are seen
# An order's amount → what of its lines adds up to it.
SUMS = {
    "list_total": "list_price",
    "course_discount": "course_discount",
    "global_discount": "global_discount",
    "beili_amount": "beili_amount",
    "alipay": "cash_amount",
}


@dataclass(frozen=True)
class Receipt:
    """What was bought, as the API tells it afterwards."""

    order_number: str
    amounts: dict[str, Any]
    course_ids: list[int]
    seconds: float


class Timeline:
    """Prints each step with the seconds since the start."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def tell(self, text: str) -> None:
        self._write(f"  {self.seconds:6.2f} s  {text}")


def buy_courses(
    base_url: str, *, username: str, password: str, count: int = 2, write: Callable[[str], None] = print
) -> Receipt:
    """Buys up to `count` courses that the buyer doesn't own yet, with the best coupons and the rest through
    Alipay.

    Raises: PurchaseError when a step fails, when an amount doesn't add up, or when a course isn't delivered;
    httpx.HTTPError.
    """
    timeline = Timeline(write)
    with ApiClient(base_url) as api:
        api.log_in(username, password)
        timeline.tell(f"logged in as {username}")
        courses = _choose_courses(api, count)
        _fill_cart(api, courses, timeline)
        _claim_coupons(api, timeline)
        checkout = check_out(api, list(courses))
        timeline.tell("checkout ready: prices and coupons checked by a worker")
        order = _place_order(api, checkout, timeline, balance=api.get("balance/")["balance"])
        if order["status"] == "awaiting_payment":
            pay_at_cashier(order["pay_url"], tell=timeline.tell)
            order = api.follow_order(order["order_number"], while_status={"awaiting_payment"})
        if order["status"] != "paid":
            raise PurchaseError(
                f"order {order['order_number']} is {order['status']} and not paid: {order.get('error')}"
            )
        timeline.tell("paid, says the shop")
        _check_delivery(api, list(courses), order, timeline)
    return Receipt(order["order_number"], order["amounts"], list(courses), timeline.seconds)


def _choose_courses(api: ApiClient, count: int) -> dict[int, dict[str, Any]]:
    """Course id → course, for priced courses that the buyer doesn't own: not the cheapest ones, so that a
    coupon has a chance.
    """
    owned = {item["course_id"] for item in _items(api.get("enrolments/", page_size=100))}
    sellable = [
        item
        for item in _items(api.get("courses/"))
        if item["id"] not in owned and item.get("price_policy_list")
    ]
    if not sellable:  # everything is owned: renewals are as good
        sellable = [item for item in _items(api.get("courses/")) if item.get("price_policy_list")]
    if not sellable:
        raise PurchaseError("the shop has no course with a price")
    return {int(item["id"]): item for item in sellable[:count]}


def _fill_cart(api: ApiClient, courses: dict[int, dict[str, Any]], timeline: Timeline) -> None:
    api.delete("cart/")
    for course_id, course in courses.items():
        policy = course["price_policy_list"][0]
        api.post("cart/", {"course_id": course_id, "policy_id": policy["id"]})
        timeline.tell(f"in the cart: {course['name']}, {policy['period']}, ¥{policy['price']}")


def _claim_coupons(api: ApiClient, timeline: Timeline) -> None:
    for coupon in _items(api.get("coupons/")):
        try:
            api.post(f"coupons/{coupon['id']}/claim/")
        except PurchaseError:
            continue  # has it already, or the last one went to somebody else
        timeline.tell(f"claimed a coupon: {coupon['name']}")


def _place_order(
    api: ApiClient, checkout: dict[str, Any], timeline: Timeline, *, balance: int
) -> dict[str, Any]:
    quote = checkout["quote"]
    beili = min(SPEND_BEILI, quote["beili_max"], balance)
    # The same courses may be in an order that somebody left unpaid: a demo keeps what it had.
    body = suggested_order(checkout, beili=beili) | {"buy_again": True}
    accepted = api.post("orders/", body, **{"Idempotency-Key": str(uuid.uuid4())})
    timeline.tell(
        f"order {accepted['order_number']} taken in: ¥{quote['list_total']} list price − "
        f"¥{quote['course_discount']} course coupons"
        f" − ¥{quote['global_discount']} coupon − {beili} 贝里 = ¥{body['alipay']} through Alipay"
    )
    order = api.follow_order(accepted["order_number"], while_status={"pending"})
    if order["status"] == "rejected":
        raise PurchaseError(f"order {order['order_number']} was rejected: {order['error']}")
    timeline.tell(f"order created by a worker: {order['status']}")
    return order


def _check_delivery(api: ApiClient, course_ids: list[int], order: dict[str, Any], timeline: Timeline) -> None:
    _check_amounts(order)
    number = order["order_number"]
    granted = {
        int(item["course_id"]): item
        for item in _items(api.get("enrolments/", page_size=100))
        if item["order_number"] == number
    }
    for course_id in course_ids:
        if course_id not in granted:
            raise PurchaseError(f"order {number} is paid, but course {course_id} was not delivered")
        enrolment = granted[course_id]
        if not (enrolment["is_active"] or _begins_later(enrolment)):
            raise PurchaseError(
                f"order {number} is paid, but the enrolment in course {course_id} is not active"
            )
        timeline.tell(
            f"enrolled: {enrolment['course_name']}, from {enrolment['valid_from']} until "
            f"{enrolment['valid_until']}"
        )
    timeline.tell(f"balance left: {api.get('balance/')['balance']} 贝里")


def _begins_later(enrolment: Mapping[str, Any]) -> bool:
    """A degree begins on its first day, a renewal where the last enrolment ends."""
    return enrolment["status"] == "active" and datetime.fromisoformat(enrolment["valid_from"]) > datetime.now(
        UTC
    )


def _check_amounts(order: dict[str, Any]) -> None:
    """Each line's price is covered by discounts, 贝里 and cash, and the order's sums are those of its
    lines.
    """
    amounts, lines = order["amounts"], order["lines"]
    for line in lines:
        parts = sum(
            Decimal(line[part])
            for part in ("course_discount", "global_discount", "beili_amount", "cash_amount")
        )
        if Decimal(line["list_price"]) != parts:
            raise PurchaseError(
                f"in order {order['order_number']} {line['course_name']} costs {line['list_price']}, its "
                f"parts add up to {parts}"
            )
    for total, part in SUMS.items():
        added = sum(Decimal(line[part]) for line in lines)
        if Decimal(amounts[total]) != added:
            raise PurchaseError(
                f"in order {order['order_number']} {total} is {amounts[total]}, its lines add up to {added}"
            )


def _items(data: Any) -> list[dict[str, Any]]:
    """The entries of a list that may come in pages."""
    return list(data["results"] if isinstance(data, dict) else data)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0 when everything was bought and delivered."""
    parser = argparse.ArgumentParser(
        prog="python -m project.local.purchase", description="Buys courses; the password is $DEMO_PASSWORD."
    )
    parser.add_argument("url", help="the shop's address")
    parser.add_argument("username")
    parser.add_argument("--count", type=int, default=2, help="courses in one purchase")
    parser.add_argument("--times", type=int, default=1, help="purchases, one after the other")
    options = parser.parse_args(argv)
    for _ in range(options.times):
        try:
            receipt = buy_courses(
                options.url,
                username=options.username,
                password=os.environ["DEMO_PASSWORD"],
                count=options.count,
            )
        except (PurchaseError, httpx.HTTPError) as error:
            print(f"not bought: {error!r}", file=sys.stderr)
            return 1
        print(f"bought: order {receipt.order_number} in {receipt.seconds:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
