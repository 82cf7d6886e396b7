"""Takes orders in. `creation.py` turns a stored request into an order."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.conf import settings

from shop import clock, valkey
from shop.domain import sql
from shop.domain.callers import CALLER, TokenDigest, find_caller
from shop.domain.checkout import checkouts
from shop.domain.checkout.checkouts import Checkout
from shop.domain.checkout.snapshot import find_coupon
from shop.domain.ordering import order_share
from shop.domain.purchase import Purchase, Shown
from shop.errors import (
    CheckoutExpired,
    CheckoutMismatch,
    CheckoutUsed,
    DomainError,
    IdempotencyKeyReused,
    NotAuthenticated,
    StaleState,
)
from shop.models import Account, OrderRequest
from shop.numbers import mint_number
from shop.states import OrderRequestStatus


def place_order(
    *,
    account: Account | TokenDigest,
    purchase: Purchase,
    idempotency_key: str,
    request_id: str,
    now: datetime,
) -> tuple[OrderRequest, bool]:
    """Stores a buyer's request durably and returns it with whether this call stored it; a replay returns the
    first one.

    Prices, coupons and balance are the worker's business. The row is committed when this returns. A buyer who
    is known by a token only is authenticated by the statement that stores the request.

    Raises:
        NotAuthenticated: the token logs nobody in.
        IdempotencyKeyReused: the key came before with another purchase.
        CheckoutUsed: another request from the same checkout is pending or became an order.
        CheckoutExpired, CheckoutMismatch: the checkout doesn't cover the purchase.
        TooManyRequests: too many requests lately, or too many orders that are neither paid nor closed.
    """
    order_share.count_request(account)
    fingerprint = purchase.fingerprint
    checkout = None
    try:
        checkout = _find_ready_checkout(purchase)
        if checkout:
            purchase = replace(purchase, shown=_shown_of(checkout, purchase))
    except DomainError:
        # A replay may come after its checkout has expired.
        account_id = account.pk if isinstance(account, Account) else find_caller(account, now=now)
        if known := _find_replay(account_id, idempotency_key, fingerprint):
            return known, False
        if checkout and checkout.account_id != account_id:
            raise CheckoutExpired from None
        raise
    request = OrderRequest(
        order_number=mint_number(now),
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
        checkout_id=purchase.checkout_id,
        body=purchase.to_json(),
        request_id=request_id,
        created_at=now,
        available_at=now,
    )
    _store(request, account, owner_id=checkout.account_id if checkout else None)
    if request.pk is not None:
        return request, True
    if known := _find_replay(request.account_id, idempotency_key, fingerprint):
        return known, False
    if checkout and checkout.account_id != request.account_id:
        raise CheckoutExpired
    order_share.check_open_orders(request.account_id, now=now)
    same_checkout = OrderRequest.objects.filter(
        account_id=request.account_id, checkout_id=purchase.checkout_id or ""
    )
    first = same_checkout.exclude(status=OrderRequestStatus.REJECTED).first()
    if first is None:
        raise StaleState(f"order number {request.order_number} is taken, or what stood in the way is gone")
    raise CheckoutUsed(order_number=first.order_number)


# Who it is, and the row if nothing stands in its way: another row, or too many open orders. One statement
# costs half of two. Statements in parallel don't see each other's rows, so a buyer may end up a few orders
# above the limit.
_STORE = sql.statement(
    """
    WITH caller AS ({caller}), stored AS (
        INSERT INTO shop_orderrequest (
            account_id, order_number, idempotency_key, fingerprint, checkout_id, body, status, request_id,
            created_at, available_at
        )
        SELECT id, %(order_number)s, %(idempotency_key)s, %(fingerprint)s, %(checkout_id)s, %(body)s,
            {OrderRequestStatus.PENDING}, %(request_id)s,
            %(now)s, {at_once}
        FROM caller WHERE (%(owner_id)s::bigint IS NULL OR id = %(owner_id)s) AND NOT {is_full}
        ON CONFLICT DO NOTHING RETURNING id
    )
    SELECT caller.id, (SELECT id FROM stored) FROM caller
""",
    OrderRequestStatus,
)
_PARTS = {"at_once": clock.AT_ONCE, "is_full": order_share.IS_FULL}
_STORE_FOR_TOKEN = _STORE.format(caller=CALLER, **_PARTS)
_STORE_FOR_ACCOUNT = _STORE.format(caller="SELECT %(account_id)s::bigint AS id", **_PARTS)


def _store(request: OrderRequest, account: Account | TokenDigest, *, owner_id: int | None) -> None:
    """Sets the request's `account_id`, and its `pk` unless a row stands in its way, the checkout's owner is
    somebody else, or the buyer has too many open orders.
    """
    statement, caller = (
        (_STORE_FOR_ACCOUNT, {"account_id": account.pk})
        if isinstance(account, Account)
        else (_STORE_FOR_TOKEN, {"digest": account})
    )
    parameters: dict[str, Any] = {
        "order_number": request.order_number,
        "idempotency_key": request.idempotency_key,
        "fingerprint": request.fingerprint,
        "checkout_id": request.checkout_id,
        "body": sql.jsonb(request.body),
        "request_id": request.request_id,
        **clock.sql_present(request.created_at),
        "owner_id": owner_id,
        "max_open": settings.MAX_OPEN_ORDERS,
        **caller,
    }
    found = sql.read_row(statement, parameters)
    if found is None:
        raise NotAuthenticated
    request.account_id, request.pk = found
    if not isinstance(account, Account):
        order_share.learn_owner(account, request.account_id)


def _find_replay(account_id: int, idempotency_key: str, fingerprint: str) -> OrderRequest | None:
    known = OrderRequest.objects.filter(account_id=account_id, idempotency_key=idempotency_key).first()
    if known is not None and known.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return known


def _find_ready_checkout(purchase: Purchase) -> Checkout | None:
    """None without a checkout or without Valkey: the agreed amounts alone decide then."""
    if purchase.checkout_id is None:
        return None
    try:
        checkout = checkouts.find_checkout(purchase.checkout_id)
    except valkey.Unreachable:
        return None
    if checkout is None or checkout.snapshot is None:
        raise CheckoutExpired
    return checkout


def _shown_of(checkout: Checkout, purchase: Purchase) -> Shown:
    """What the checkout shows of the purchase.

    Raises:
        CheckoutMismatch: it has another policy for a course, or doesn't have it.
    """
    snapshot = checkout.snapshot
    assert snapshot is not None
    courses = {course.course_id: course for course in snapshot.courses}
    for line in purchase.lines:
        if line.course_id not in courses or courses[line.course_id].policy_id != line.policy_id:
            raise CheckoutMismatch(course_id=line.course_id)
    chosen = [find_coupon(courses[line.course_id].coupons, line.coupon_record_id) for line in purchase.lines]
    options = [
        option
        for option in (*chosen, find_coupon(snapshot.global_coupons, purchase.coupon_record_id))
        if option
    ]
    return Shown(
        prices={line.course_id: courses[line.course_id].price for line in purchase.lines},
        periods={line.course_id: courses[line.course_id].valid_period for line in purchase.lines},
        coupons={option.record_id: option.terms for option in options},
    )
