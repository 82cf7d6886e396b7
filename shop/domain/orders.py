"""Taking an order in and finding it. `creation.py` turns a stored request into an order."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from psycopg.types.json import Jsonb

from shop import clock, valkey
from shop.domain import checkout as checkouts
from shop.domain import order_share
from shop.domain.login import CALLER, TokenDigest, find_caller
from shop.domain.snapshot import ShownCourse, shown_courses, shown_global_coupons, shown_terms
from shop.errors import (
    CheckoutExpired,
    CheckoutMismatch,
    CheckoutUsed,
    DomainError,
    IdempotencyKeyReused,
    NotAuthenticated,
    OrderNotFound,
    OrderPending,
    OrderRejected,
    StaleState,
)
from shop.models import Account, Order, OrderRequest
from shop.numbers import mint_number
from shop.states import OrderRequestStatus


@dataclass(frozen=True, slots=True)
class LineChoice:
    """One course that the buyer wants. `coupon_record_id` is None without a course coupon, `valid_period` unless the buyer names the days."""

    course_id: int
    policy_id: int
    coupon_record_id: int | None
    valid_period: int | None = None

    def as_json(self) -> list[int | None]:
        chosen = [self.course_id, self.policy_id, self.coupon_record_id]
        return chosen if self.valid_period is None else [*chosen, self.valid_period]


@dataclass(frozen=True, slots=True)
class Purchase:
    """What the buyer asks for and agrees to: `beili` 贝里 and `alipay` yuan, which must equal the server's own figures.

    `buy_again` says that a course which waits in another unpaid order is meant to be bought twice.
    """

    lines: Sequence[LineChoice]
    coupon_record_id: int | None
    beili: int
    alipay: Decimal
    checkout_id: str | None
    buy_again: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "lines": [line.as_json() for line in self.lines],
            "coupon_record_id": self.coupon_record_id,
            "beili": self.beili,
            "alipay": str(self.alipay),
            "checkout_id": self.checkout_id,
            **({"buy_again": True} if self.buy_again else {}),
        }


def place_order(
    *, account: Account | TokenDigest, purchase: Purchase, idempotency_key: str, request_id: str, now: datetime
) -> tuple[OrderRequest, bool]:
    """Stores a buyer's request durably and returns it with whether this call stored it; a replay returns the first one.

    Prices, coupons and balance are the worker's business. The row is committed when this returns. A buyer who is known by a token only is
    authenticated by the statement that stores the request.

    Raises:
        NotAuthenticated: the token logs nobody in.
        IdempotencyKeyReused: the key came before with another purchase.
        CheckoutUsed: another request from the same checkout is pending or became an order.
        CheckoutExpired, CheckoutMismatch: the checkout doesn't cover the purchase.
        TooManyRequests: too many requests lately, or too many orders that are neither paid nor closed.
    """
    order_share.count_request(account)
    body = purchase.as_json()
    fingerprint = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    snapshot = None
    try:
        snapshot = _find_snapshot(purchase)
        if snapshot:
            _must_cover(snapshot, purchase)
    except DomainError:
        # A replay may come after its checkout is over.
        account_id = account.pk if isinstance(account, Account) else find_caller(account, now=now)
        if known := _find_replay(account_id, idempotency_key, fingerprint):
            return known, False
        if snapshot and snapshot.account_id != account_id:
            raise CheckoutExpired from None
        raise
    request = OrderRequest(
        order_number=mint_number(now),
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
        checkout_id=purchase.checkout_id,
        body={**body, **(_seen(snapshot, purchase) if snapshot else {"prices_seen": None})},
        request_id=request_id,
        created_at=now,
        available_at=now,
    )
    is_full = _store(request, account, owner_id=snapshot.account_id if snapshot else None)
    if request.pk is not None:
        return request, True
    if known := _find_replay(request.account_id, idempotency_key, fingerprint):
        return known, False
    if snapshot and snapshot.account_id != request.account_id:
        raise CheckoutExpired
    if is_full:
        order_share.refuse_open_order(request.account_id, now=now)
    same_checkout = OrderRequest.objects.filter(account_id=request.account_id, checkout_id=purchase.checkout_id or "")
    first = same_checkout.exclude(status=OrderRequestStatus.REJECTED).first()
    if first is None:
        raise StaleState(f"order number {request.order_number} is taken, or what stood in the way is gone")
    raise CheckoutUsed(order_number=first.order_number)


# Who it is, how many of their orders are open (never counting past the limit), and the row if nothing stands in its way, in one statement:
# half the price of two. Statements in parallel don't see each other's rows, so a buyer may end up a few orders above the limit.
_STORE = """
    WITH caller AS ({caller}), held AS (
        SELECT (
            SELECT count(*) FROM (
                SELECT FROM shop_order WHERE account_id = caller.id AND status = 'awaiting_payment' LIMIT %(max_open)s
            ) AS unpaid
        ) + (
            SELECT count(*) FROM (
                SELECT FROM shop_orderrequest WHERE account_id = caller.id AND status = 'pending' LIMIT %(max_open)s
            ) AS undecided
        ) >= %(max_open)s AS is_full FROM caller
    ), stored AS (
        INSERT INTO shop_orderrequest (
            account_id, order_number, idempotency_key, fingerprint, checkout_id, body, status, request_id, created_at, available_at,
            attempts, last_error, error_slug, error_message, error_details
        )
        SELECT id, %(order_number)s, %(idempotency_key)s, %(fingerprint)s, %(checkout_id)s, %(body)s, 'pending', %(request_id)s,
            %(now)s, {at_once}, 0, '', '', '', '{{}}'
        FROM caller, held WHERE NOT is_full AND (%(owner_id)s::bigint IS NULL OR id = %(owner_id)s)
        ON CONFLICT DO NOTHING RETURNING id
    )
    SELECT caller.id, (SELECT id FROM stored), held.is_full FROM caller, held
"""
_STORE_FOR_TOKEN = _STORE.format(caller=CALLER, at_once=clock.AT_ONCE)
_STORE_FOR_ACCOUNT = _STORE.format(caller="SELECT %(account_id)s::bigint AS id", at_once=clock.AT_ONCE)


def _store(request: OrderRequest, account: Account | TokenDigest, *, owner_id: int | None) -> bool:
    """Sets the request's `account_id`, and its `pk` unless a row stands in its way, the checkout's owner is somebody else, or the buyer has
    too many open orders: the last is what it answers."""
    statement, caller = (
        (_STORE_FOR_ACCOUNT, {"account_id": account.pk}) if isinstance(account, Account) else (_STORE_FOR_TOKEN, {"digest": account})
    )
    parameters: dict[str, Any] = {
        "order_number": request.order_number,
        "idempotency_key": request.idempotency_key,
        "fingerprint": request.fingerprint,
        "checkout_id": request.checkout_id,
        "body": Jsonb(request.body),
        "request_id": request.request_id,
        **clock.sql_present(request.created_at),
        "owner_id": owner_id,
        "max_open": settings.MAX_OPEN_ORDERS,
        **caller,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found = cursor.fetchone()
    if found is None:
        raise NotAuthenticated
    request.account_id, request.pk, is_full = found
    if not isinstance(account, Account):
        order_share.learn_owner(account, request.account_id)
    return bool(is_full)


def _find_replay(account_id: int, idempotency_key: str, fingerprint: str) -> OrderRequest | None:
    known = OrderRequest.objects.filter(account_id=account_id, idempotency_key=idempotency_key).first()
    if known is not None and known.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return known


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Whose checkout it is, and what it shows of each course, by id, and of global coupons."""

    account_id: int
    courses: Mapping[int, ShownCourse]
    global_coupons: Sequence[Mapping[str, Any]]


def _find_snapshot(purchase: Purchase) -> _Snapshot | None:
    """None without a checkout or without Valkey: the agreed amounts alone decide then."""
    if purchase.checkout_id is None:
        return None
    try:
        checkout = checkouts.find_checkout(purchase.checkout_id)
    except valkey.Unreachable:
        return None
    if checkout is None or checkout.result is None or checkout.result["status"] != "ready":
        raise CheckoutExpired
    return _Snapshot(checkout.account_id, shown_courses(checkout.result), shown_global_coupons(checkout.result))


def _must_cover(snapshot: _Snapshot, purchase: Purchase) -> None:
    for line in purchase.lines:
        if line.course_id not in snapshot.courses or snapshot.courses[line.course_id].policy_id != line.policy_id:
            raise CheckoutMismatch(course_id=line.course_id)


def _seen(snapshot: _Snapshot, purchase: Purchase) -> dict[str, Any]:
    """What the buyer has been shown of this purchase: prices, periods and the chosen coupons' terms. A coupon may be newer than that."""
    courses = {line.course_id: snapshot.courses[line.course_id] for line in purchase.lines}
    chosen = [(line.coupon_record_id, courses[line.course_id].coupons) for line in purchase.lines]
    terms = {pk: shown_terms(entries, pk) for pk, entries in (*chosen, (purchase.coupon_record_id, snapshot.global_coupons))}
    return {
        "prices_seen": {str(course_id): shown.price for course_id, shown in courses.items()},
        "periods_seen": {str(course_id): shown.valid_period for course_id, shown in courses.items()},
        "coupons_seen": {str(pk): found for pk, found in terms.items() if found is not None},
    }


def get_order(*, account_id: int, order_number: str) -> Order:
    """The buyer's order.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.
        OrderPending, OrderRejected: the request of this number isn't an order yet, or never became one.
    """
    order = Order.objects.filter(account_id=account_id, order_number=order_number).first()
    if order is None:
        raise missing_order(account_id=account_id, order_number=order_number)
    return order


def missing_order(*, account_id: int, order_number: str) -> DomainError:
    """Why the buyer has no order of this number, as the error to raise."""
    request = OrderRequest.objects.filter(account_id=account_id, order_number=order_number).first()
    if request is None:
        return OrderNotFound()
    if request.status == OrderRequestStatus.REJECTED:
        return OrderRejected(reason=request.error_slug, why=request.error_message)
    # One that a worker has just made into an order is found by the next attempt.
    return OrderPending()


def requested_lines(body: Mapping[str, Any]) -> list[LineChoice]:
    """The lines of a stored request."""
    return [LineChoice(*line) for line in body["lines"]]


def requested_coupon_ids(request: OrderRequest) -> list[int]:
    """Every coupon that a stored request names, as often as it names it."""
    ids = [line.coupon_record_id for line in requested_lines(request.body)]
    return [pk for pk in [*ids, request.body["coupon_record_id"]] if pk is not None]
