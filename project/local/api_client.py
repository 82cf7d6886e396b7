"""A client of the shop's API, as the demo, the journeys and the failover tests use it."""

import time
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import httpx

PATIENCE_S = 60.0
WAIT_S = 20  # how long one request for the order's status may be held open
SUCCESS = 1000


class PurchaseError(Exception):
    """The shop did not do what its contract says."""


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


def _pause(deadline: float, complaint: str) -> None:
    if time.monotonic() > deadline:
        raise PurchaseError(f"{complaint} after {PATIENCE_S:.0f} s")
    time.sleep(0.2)
