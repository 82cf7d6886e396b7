"""Buys courses as a buyer would: over HTTP only, from the cart through Alipay's cashier to the enrolment.

Works against any running shop whose Alipay is the simulator. Prints each step with its time. By hand:
`DEMO_PASSWORD=… python -m project.local.purchase http://127.0.0.1:8000 buyer1`.
"""

import argparse
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

PATIENCE_S = 60.0
WAIT_S = 20  # how long one request for the order's status may be held open
SUCCESS = 1000
SPEND_BEILI = 10  # a little of the balance, so that all four ways to pay are seen
# An order's amount → what of its lines adds up to it.
SUMS = {
    "list_total": "list_price",
    "course_discount": "course_discount",
    "global_discount": "global_discount",
    "beili_amount": "beili_amount",
    "alipay": "cash_amount",
}


class PurchaseError(Exception):
    """The shop did not do what its contract says."""


@dataclass(frozen=True)
class Receipt:
    """What was bought, as the API tells it afterwards."""

    order_number: str
    amounts: dict[str, Any]
    course_ids: list[int]
    seconds: float


class ApiClient:
    """The shop's JSON API with one buyer's token. Answers are the envelope's `data`."""

    def __init__(self, base_url: str, *, timeout_s: float = WAIT_S + 15) -> None:
        # Straight to the shop: a proxy set in the environment is for the outside world.
        self.http = httpx.Client(base_url=f"{base_url}/api/v1/", timeout=timeout_s, trust_env=False)

    def __enter__(self) -> "ApiClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.http.close()

    def log_in(self, username: str, password: str) -> None:
        data = self.post("auth/login/", {"username": username, "password": password})
        self.http.headers["Authorization"] = f"Token {data['token']}"

    def get(self, path: str, **params: Any) -> Any:
        return self._data(self.http.get(path, params=params))

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._data(self.http.post(path, json=body, headers=headers))

    def delete(self, path: str) -> Any:
        return self._data(self.http.delete(path))

    def follow_order(
        self, order_number: str, *, while_status: Collection[str], timeout_s: float = PATIENCE_S
    ) -> dict[str, Any]:
        """The order, as soon as its status is another one.

        Each request is held open by the shop until there is news.

        Raises: PurchaseError when it still has such a status after the time.
        """
        deadline = time.monotonic() + timeout_s
        etag, order = "", None
        while order is None or order["status"] in while_status:
            if time.monotonic() > deadline:
                raise PurchaseError(
                    f"order {order_number} is still {'unknown' if order is None else order['status']} after "
                    f"{timeout_s:.0f} s"
                )
            asked_at = time.monotonic()
            response = self.http.get(
                f"orders/{order_number}/",
                params={"wait": WAIT_S},
                headers={"If-None-Match": etag} if etag else {},
            )
            if response.status_code == httpx.codes.NOT_MODIFIED:
                if time.monotonic() - asked_at < 1:  # too busy to hold it
                    time.sleep(float(response.headers.get("Retry-After", 1)))
                continue
            etag, order = response.headers.get("ETag", ""), dict(self._data(response))
            if not etag:
                time.sleep(0.2)
        return order

    def _data(self, response: httpx.Response) -> Any:
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        what = f"{response.request.method} {response.request.url.path} answered {response.status_code}"
        try:
            envelope = response.json()
        except ValueError:
            raise PurchaseError(f"{what} without JSON: {response.text[:300]!r}") from None
        if response.is_error or envelope.get("code") != SUCCESS:
            raise PurchaseError(
                f"{what}: {envelope.get('error')} {envelope.get('msg')} {envelope.get('details')}"
            )
        return envelope["data"]


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


def pay_at_cashier(
    pay_url: str, *, tell: Callable[[str], object] = str, account: str = "buyer@example.com"
) -> None:
    """Opens the order's payment link in a browser's stead, logs in at Alipay's cashier and pays.

    Raises: PurchaseError when the cashier shows no form to go on with.
    """
    with httpx.Client(timeout=30, follow_redirects=True, trust_env=False) as browser:
        page = browser.get(pay_url)
        tell(
            f"opened the payment link, now at {urlsplit(str(page.url)).netloc}{urlsplit(str(page.url)).path}"
        )
        page = _submit_form(browser, page, ending="/login", account=account)
        tell(f"logged in at Alipay's cashier as {account}")
        page = _submit_form(browser, page, ending="/pay")
        # Whether the way back works is the browser's fortune; whether the course is delivered must not depend
        # on it.
        tell(f"paid at the cashier, sent back to {urlsplit(str(page.url)).path} ({page.status_code})")


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


def check_out(api: ApiClient, course_ids: Sequence[int]) -> dict[str, Any]:
    """A checkout of courses that are in the cart, once a worker has priced it.

    Raises: PurchaseError when it can't be bought, or is still pending after the patience.
    """
    checkout = api.post("checkout/", {"course_list": list(course_ids)})
    deadline = time.monotonic() + PATIENCE_S
    while checkout["status"] == "pending":
        _pause(deadline, "the checkout is still pending")
        checkout = api.get(f"checkout/{checkout['checkout_id']}/")
    if checkout["status"] != "ready":
        raise PurchaseError(f"the checkout is {checkout['status']}")
    return dict(checkout)


def suggested_order(checkout: Mapping[str, Any], *, beili: int = 0) -> dict[str, Any]:
    """The body of the order that a checkout suggests, paid in part with 贝里."""
    quote, offered = checkout["quote"], checkout["payment_list"]["policy_course_dict"]
    cash = Decimal(quote["alipay"]) - Decimal(beili) / checkout["beili_per_yuan"]
    return {
        "checkout_id": checkout["checkout_id"],
        "course_price_list": [
            {
                "course_id": line["course_id"],
                "policy_id": offered[str(line["course_id"])]["policy_id"],
                "coupon_record_id": line["coupon_record_id"],
            }
            for line in quote["lines"]
        ],
        "coupon_record_id": quote["coupon_record_id"],
        "balance": beili,
        "alipay": f"{cash:.2f}",
    }


def _place_order(
    api: ApiClient, checkout: dict[str, Any], timeline: Timeline, *, balance: int
) -> dict[str, Any]:
    quote = checkout["quote"]
    beili = min(SPEND_BEILI, quote["beili_max"], balance)
    body = suggested_order(checkout, beili=beili)
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


def _submit_form(
    browser: httpx.Client, page: httpx.Response, *, ending: str, **values: str
) -> httpx.Response:
    """Sends the page's form whose address ends so, with its hidden fields and these values filled in."""
    for form in re.finditer(r"<form\b([^>]*)>(.*?)</form>", page.text, re.DOTALL | re.IGNORECASE):
        action = _attribute(form[1], "action") or str(page.url)
        if not urlsplit(action).path.rstrip("/").endswith(ending):
            continue
        inputs = re.findall(r"<(?:input|button)\b([^>]*)>", form[2], re.IGNORECASE)
        fields = {name: _attribute(tag, "value") or "" for tag in inputs if (name := _attribute(tag, "name"))}
        answer = browser.post(urljoin(str(page.url), action), data={**fields, **values})
        if answer.is_error and not answer.history:
            raise PurchaseError(f"{answer.request.url} answered {answer.status_code}: {answer.text[:300]!r}")
        return answer
    raise PurchaseError(f"{page.url} ({page.status_code}) shows no form for {ending}: {page.text[:300]!r}")


def _attribute(tag: str, name: str) -> str | None:
    found = re.search(rf"""\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)')""", tag, re.IGNORECASE)
    return None if found is None else (found[1] or found[2] or "")


def _items(data: Any) -> list[dict[str, Any]]:
    """The entries of a list that may come in pages."""
    return list(data["results"] if isinstance(data, dict) else data)


def _pause(deadline: float, complaint: str) -> None:
    if time.monotonic() > deadline:
        raise PurchaseError(f"{complaint} after {PATIENCE_S:.0f} s")
    time.sleep(0.2)


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
