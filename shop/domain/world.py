"""What the decisions about a batch of order requests stand on, read under locks.

Bare SQL: at light load every order is a batch of its own, and Django would spend more on making these statements than on all the rest. The
objects know the columns that creation needs; any other is read when somebody asks for it.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shop.domain import locks, rows
from shop.domain.orders import requested_coupon_ids, requested_lines
from shop.models import Coupon, CouponRecord, Course, OrderRequest, PricePolicy


@dataclass(slots=True)
class World:
    """Balances by account, coupon records and price policies by id. Decisions change it, so the next request sees them."""

    balances: dict[int, int]
    records: Mapping[int, CouponRecord]
    policies: Mapping[int, PricePolicy]
    reserved: set[int] = field(default_factory=set)
    now: datetime = field(kw_only=True)


def lock_pending(request_ids: Sequence[int]) -> list[OrderRequest]:
    """The requests among these that wait for a decision, locked, by id."""
    return [
        rows.made(OrderRequest, id=pk, account_id=account_id, order_number=order_number, body=json.loads(body))
        for pk, account_id, order_number, body in locks.lock_pending_requests(request_ids)
    ]


def lock_world(requests: Sequence[OrderRequest], *, now: datetime) -> World:
    """Locks in the one order that everybody keeps: accounts, then coupon records, each by id."""
    balances = locks.lock_accounts({request.account_id for request in requests})
    record_ids = {pk for request in requests for pk in requested_coupon_ids(request)}
    records = _lock_records(record_ids) if record_ids else {}
    policies = _read_policies({line.policy_id for request in requests for line in requested_lines(request.body)})
    return World(balances, records, policies, now=now)


def _lock_records(record_ids: Collection[int]) -> dict[int, CouponRecord]:
    records, campaigns = {}, {}  # in a rush most coupons are of few campaigns
    for pk, account_id, status, first_day, last_day, *terms in locks.lock_coupon_records(record_ids):
        record = rows.made(CouponRecord, id=pk, account_id=account_id, status=status, valid_from_date=first_day, valid_until_date=last_day)
        if terms[0] not in campaigns:
            campaigns[terms[0]] = rows.made(Coupon, **dict(zip(_TERMS, terms, strict=True)))
        record.coupon = campaigns[terms[0]]
        records[pk] = record
    return records


_TERMS = ("id", "coupon_type", "scope", "course_id", "money_equivalent_value", "off_percent", "minimum_consume")


def _read_policies(policy_ids: Iterable[int]) -> dict[int, PricePolicy]:
    statement = """
        SELECT policy.id, policy.valid_period, policy.price, course.id, course.name, course.course_img, course.course_type, course.status
        FROM shop_pricepolicy AS policy JOIN shop_course AS course ON course.id = policy.course_id WHERE policy.id = ANY(%s)
    """
    policies = {}
    for pk, valid_period, price, *shown in rows.read(statement, [list(policy_ids)]):
        policy = rows.made(PricePolicy, id=pk, valid_period=valid_period, price=price)
        policy.course = rows.made(Course, **dict(zip(_SHOWN, shown, strict=True)))
        policies[pk] = policy
    return policies


_SHOWN = ("id", "name", "course_img", "course_type", "status")
