"""The ordinary order request, read without a framework: a body as our own pages send it, for an eighth of the serializers' price.

What isn't plain to see here, valid or not, is none of this module's business: `PurchaseInput` reads it, and says what is wrong with it.
"""

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

from django.conf import settings
from django.http import HttpRequest

from shop.api.fields import MAX_BEILI, MAX_ID, MAX_PERIOD, content_length
from shop.domain.orders import LineChoice, Purchase
from shop.money import MAX_YUAN

_LINE = frozenset({"course_id", "policy_id", "coupon_record_id", "valid_period"})
_BODY = frozenset({"checkout_id", "course_price_list", "coupon_record_id", "balance", "alipay", "buy_again"})
_NUMBER = re.compile(r"[0-9A-Z]{1,64}")
_YUAN = re.compile(r"[0-9]{1,10}\.[0-9]{2}")


def read_ordinary(request: HttpRequest) -> Purchase | None:
    """What a buyer asks for, or None if its body needs a closer look."""
    if request.content_type != "application/json" or not 0 < content_length(request.META) <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return None
    try:
        body = json.loads(request.body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return as_ordinary(body)


def as_ordinary(body: Any) -> Purchase | None:
    """The same for a body that is parsed already."""
    if type(body) is not dict or not body.keys() <= _BODY:
        return None
    asked = body.get("course_price_list")
    if type(asked) is not list or not 0 < len(asked) <= settings.CART_MAX_LINES:
        return None
    lines = [_line(line) for line in asked]
    coupon_record_id, beili, alipay, checkout_id, buy_again = (
        body.get("coupon_record_id"),
        body.get("balance", 0),
        body.get("alipay"),
        body.get("checkout_id"),
        body.get("buy_again", False),
    )
    if (
        None in lines
        or len({line["course_id"] for line in asked}) != len(asked)
        or not _is_coupon(coupon_record_id)
        or not (type(beili) is int and 0 <= beili <= MAX_BEILI)
        or not (type(alipay) is str and _YUAN.fullmatch(alipay))
        or type(buy_again) is not bool
        or not (checkout_id is None or (type(checkout_id) is str and _NUMBER.fullmatch(checkout_id)))
        or (yuan := Decimal(alipay)) > MAX_YUAN
    ):
        return None
    return Purchase([line for line in lines if line is not None], coupon_record_id or None, beili, yuan, checkout_id, buy_again)


def _line(line: Any) -> LineChoice | None:
    if type(line) is not dict or not line.keys() <= _LINE:
        return None
    course_id: Any = line.get("course_id")
    policy_id: Any = line.get("policy_id")
    coupon_record_id, valid_period = line.get("coupon_record_id"), line.get("valid_period")
    if not (_is_id(course_id) and _is_id(policy_id) and _is_coupon(coupon_record_id) and _is_period(valid_period)):
        return None
    return LineChoice(course_id, policy_id, coupon_record_id or None, valid_period)


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 < value <= MAX_ID


def _is_coupon(value: Any) -> bool:
    return value is None or (type(value) is int and 0 <= value <= MAX_ID)


def _is_period(value: Any) -> bool:
    return value is None or (type(value) is int and 0 < value <= MAX_PERIOD)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
