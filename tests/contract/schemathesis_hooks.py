"""Tells Schemathesis what the schema can't. Loaded by the run that `test_schemathesis.py` starts."""

import itertools
import os
from typing import Any

import requests
import schemathesis

SHOP = os.environ["CONTRACT_SHOP_URL"]
OTHER_BUYER = {"username": os.environ["CONTRACT_OTHER_USERNAME"], "password": os.environ["CONTRACT_PASSWORD"]}
TOKEN = os.environ["CONTRACT_AUTHORIZATION"]
ORDERS = os.environ["CONTRACT_ORDER_NUMBERS"].split(",")
# Endpoints that end logins.
_ENDINGS = ("/auth/logout/", "/auth/logout/everywhere/", "/auth/password/")
_calls = itertools.count()


@schemathesis.hook("before_call")
def name_what_exists(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Replaces half of the well-formed numbers and ids in URLs with existing ones; deliberately invalid ones
    stay.
    """
    given = case.path_parameters or {}
    if case.meta is None or not case.meta.generation.mode.is_positive or next(_calls) % 2:
        return
    if "order_number" in given and not case.operation.path.endswith("/cancel/"):
        case.path_parameters = {
            **given,
            "order_number": ORDERS[len(str(given["order_number"])) % len(ORDERS)],
        }
    if "coupon_id" in given:
        case.path_parameters = {**given, "coupon_id": str(len(str(given["coupon_id"])) % 8 + 1)}


@schemathesis.hook("before_call")
def name_each_course_once(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """JSON Schema can't say that 1 and "1" are one course, nor that two lines differ in their course.

    Deliberately invalid bodies stay.
    """
    if not isinstance(case.body, dict) or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for field in ("course_list", "course_price_list", "lines"):
        courses = case.body.get(field)
        if isinstance(courses, list):
            by_id = {
                str(course["course_id"] if isinstance(course, dict) else course): course for course in courses
            }
            case.body = {**case.body, field: list(by_id.values())}


@schemathesis.auth(refresh_interval=None)
class BuyersToken:
    """The buyer's token. Endpoints that end logins get a new token of another buyer each time, or everything
    after them would be answered 401.
    """

    def get(self, case: Any, context: Any) -> str:
        if not case.operation.path.endswith(_ENDINGS):
            return TOKEN
        answer = requests.post(f"{SHOP}/api/v1/auth/login/", json=OTHER_BUYER, timeout=20)
        return f"Token {answer.json()['data']['token']}"

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers = {**(case.headers or {}), "Authorization": data}
