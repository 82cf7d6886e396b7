"""What the decisions about a batch of order requests are based on, read under locks.

Bare SQL: at light load every order is a batch of its own, and Django would spend more time building these
statements than everything else takes. The objects know the columns that creation needs; any other column is
read on access.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shop.domain import locks, sql
from shop.domain.orders.unpaid import UNPAID
from shop.domain.purchase import Purchase
from shop.models import Coupon, CouponRecord, Course, OrderRequest, PricePolicy
from shop.states import EnrolmentStatus


@dataclass(slots=True)
class Holding:
    """A course of a buyer: the end of what they have, and the newest unpaid order with it, with the days that
    unpaid orders would add.
    """

    ends_at: datetime | None = None
    unpaid_order_number: str | None = None
    unpaid_days: int = 0

    def access_ahead(self, now: datetime) -> timedelta:
        """How much access to the course lies ahead, unpaid orders included."""
        held = self.ends_at - now if self.ends_at and self.ends_at > now else timedelta()
        return held + timedelta(days=self.unpaid_days)

    def add_paid(self, days: int, *, now: datetime) -> None:
        """An order of this batch was paid at once."""
        self.ends_at = max(self.ends_at or now, now) + timedelta(days=days)

    def add_unpaid(self, days: int, *, order_number: str) -> None:
        """An order of this batch waits for its payment."""
        self.unpaid_order_number = order_number
        self.unpaid_days += days


@dataclass(slots=True)
class World:
    """Balances by account, coupon records and price policies by id, and what buyers have of the courses.

    Decisions change it, so the next request sees them.
    """

    balances: dict[int, int]
    records: Mapping[int, CouponRecord]
    policies: Mapping[int, PricePolicy]
    holdings: dict[tuple[int, int], Holding] = field(default_factory=dict)
    reserved: set[int] = field(default_factory=set)
    now: datetime = field(kw_only=True)

    def holding(self, account_id: int, course_id: int) -> Holding:
        """What the buyer has of the course."""
        return self.holdings.setdefault((account_id, course_id), Holding())


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request that waits for its decision: its row, and what it asks for."""

    row: OrderRequest
    purchase: Purchase

    @property
    def account_id(self) -> int:
        return self.row.account_id

    @property
    def order_number(self) -> str:
        return self.row.order_number

    @property
    def request_id(self) -> str:
        """The id of the HTTP request that it came with."""
        return self.row.request_id


def lock_pending(request_ids: Sequence[int]) -> list[PendingRequest]:
    """The requests among these that wait for a decision, locked, by id."""
    return [
        PendingRequest(
            sql.made(
                OrderRequest, id=pk, account_id=account_id, order_number=order_number, request_id=request_id
            ),
            Purchase.from_json(json.loads(body)),
        )
        for pk, account_id, order_number, request_id, body in locks.lock_pending_requests(request_ids)
    ]


def lock_world(requests: Sequence[PendingRequest], *, now: datetime) -> World:
    """Locks in the one order that everybody keeps: accounts, then coupon records, each by id."""
    balances = locks.lock_accounts({request.account_id for request in requests})
    record_ids = {pk for request in requests for pk in request.purchase.coupon_record_ids}
    records = _lock_records(record_ids) if record_ids else {}
    policies, holdings = _read_lines(
        {
            (request.account_id, line.course_id, line.policy_id)
            for request in requests
            for line in request.purchase.lines
        },
        now=now,
    )
    return World(balances, records, policies, holdings, now=now)


def _lock_records(record_ids: Collection[int]) -> dict[int, CouponRecord]:
    records, campaigns = {}, {}  # in a rush most coupons are of few campaigns
    for pk, account_id, status, first_day, last_day, *terms in locks.lock_coupon_records(record_ids):
        record = sql.made(
            CouponRecord,
            id=pk,
            account_id=account_id,
            status=status,
            valid_from_date=first_day,
            valid_until_date=last_day,
        )
        if terms[0] not in campaigns:
            campaigns[terms[0]] = sql.made(Coupon, **dict(zip(_TERMS, terms, strict=True)))
        record.coupon = campaigns[terms[0]]
        records[pk] = record
    return records


_TERMS = (
    "id",
    "coupon_type",
    "scope",
    "course_id",
    "money_equivalent_value",
    "off_percent",
    "minimum_consume",
)


# For each line that is asked for: its policy and course as they are now, and what the buyer has of the
# course. Read under the accounts' locks, so nobody else's order of these buyers is on its way.
_READ_LINES = sql.statement(
    f"""
    SELECT wanted.account_id, wanted.course_id, held.ends_at, unpaid.order_number, unpaid.days,
        policy.id, policy.valid_period, policy.price, course.id, course.name, course.course_img,
        course.course_type, course.status, course.starts_on
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS wanted(account_id, course_id, policy_id)
    LEFT JOIN shop_pricepolicy AS policy ON policy.id = wanted.policy_id
    LEFT JOIN shop_course AS course ON course.id = policy.course_id
    CROSS JOIN LATERAL (
        SELECT max(enrolment.valid_until) AS ends_at FROM shop_enrolment AS enrolment
        WHERE enrolment.account_id = wanted.account_id AND enrolment.course_id = wanted.course_id
            AND enrolment.status = {{EnrolmentStatus.ACTIVE}} AND enrolment.valid_until > %s
    ) AS held
    CROSS JOIN LATERAL ({UNPAID.format(account="wanted.account_id", course="wanted.course_id")}) AS unpaid
""",  # noqa: S608 - ours
    EnrolmentStatus,
)


def _read_lines(
    wanted: Collection[tuple[int, int, int]], *, now: datetime
) -> tuple[dict[int, PricePolicy], dict[tuple[int, int], Holding]]:
    policies: dict[int, PricePolicy] = {}
    holdings: dict[tuple[int, int], Holding] = {}
    for account_id, course_id, ends_at, number, days, pk, *offer in sql.read(
        _READ_LINES, [*map(list, zip(*wanted, strict=True)), now]
    ):
        holdings[account_id, course_id] = Holding(ends_at, number, days or 0)
        if pk is not None and pk not in policies:
            valid_period, price, *shown = offer
            policies[pk] = sql.made(PricePolicy, id=pk, valid_period=valid_period, price=price)
            policies[pk].course = sql.made(Course, **dict(zip(_SHOWN, shown, strict=True)))
    return policies, holdings


_SHOWN = ("id", "name", "course_img", "course_type", "status", "starts_on")
