"""Taking an order in and showing it. `creation.py` turns a stored request into an order."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from shop import valkey
from shop.domain import checkout as checkouts
from shop.errors import (
    CheckoutExpired,
    CheckoutMismatch,
    CheckoutNotFound,
    CheckoutUsed,
    DomainError,
    IdempotencyKeyReused,
    OrderNotFound,
)
from shop.models import Account, Order, OrderRequest
from shop.numbers import mint_number
from shop.states import OrderRequestStatus


@dataclass(frozen=True, slots=True)
class LineChoice:
    """One course that the buyer wants. `coupon_record_id` is None without a course coupon."""

    course_id: int
    policy_id: int
    coupon_record_id: int | None


@dataclass(frozen=True, slots=True)
class Purchase:
    """What the buyer asks for and agrees to: `beili` 贝里 and `alipay` yuan, which must equal the server's own figures."""

    lines: Sequence[LineChoice]
    coupon_record_id: int | None
    beili: int
    alipay: Decimal
    checkout_id: str | None

    def as_json(self) -> dict[str, Any]:
        return {
            "lines": [[line.course_id, line.policy_id, line.coupon_record_id] for line in self.lines],
            "coupon_record_id": self.coupon_record_id,
            "beili": self.beili,
            "alipay": str(self.alipay),
            "checkout_id": self.checkout_id,
        }


def place_order(*, account: Account, purchase: Purchase, idempotency_key: str, request_id: str, now: datetime) -> tuple[OrderRequest, bool]:
    """Stores a buyer's request durably and returns it with whether this call stored it; a replay returns the first one.

    Prices, coupons and balance are the worker's business. The row is committed when this returns.

    Raises:
        IdempotencyKeyReused: the key came before with another purchase.
        CheckoutUsed: another request from the same checkout is pending or became an order.
        CheckoutNotFound, CheckoutExpired, CheckoutMismatch: the checkout doesn't cover the purchase.
    """
    body = purchase.as_json()
    fingerprint = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    try:
        prices_seen = _prices_seen(account, purchase)
    except DomainError:
        # A replay may come after its checkout is over.
        if known := _find_replay(account, idempotency_key, fingerprint):
            return known, False
        raise
    request = OrderRequest(
        account=account,
        order_number=mint_number(now),
        idempotency_key=idempotency_key,
        fingerprint=fingerprint,
        checkout_id=purchase.checkout_id,
        body={**body, "prices_seen": prices_seen},
        request_id=request_id,
        created_at=now,
        available_at=now,
    )
    try:
        with transaction.atomic():
            request.save(force_insert=True)
    except IntegrityError as error:
        if known := _find_replay(account, idempotency_key, fingerprint):
            return known, False
        if "order_request_one_per_checkout" not in str(error):
            raise
        first = OrderRequest.objects.exclude(status=OrderRequestStatus.REJECTED).get(account=account, checkout_id=purchase.checkout_id)
        raise CheckoutUsed(order_number=first.order_number) from error
    return request, True


def _find_replay(account: Account, idempotency_key: str, fingerprint: str) -> OrderRequest | None:
    known = OrderRequest.objects.filter(account=account, idempotency_key=idempotency_key).first()
    if known is not None and known.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return known


def _prices_seen(account: Account, purchase: Purchase) -> dict[str, str] | None:
    """The snapshot's price of each line, or None without a checkout or without Valkey: the agreed amounts alone decide then."""
    if purchase.checkout_id is None:
        return None
    try:
        checkout = checkouts.get_checkout(account_id=account.pk, checkout_id=purchase.checkout_id)
        snapshot = checkouts.snapshot_prices(checkout)
    except valkey.Unreachable:
        return None
    except CheckoutNotFound:
        raise CheckoutExpired from None
    for line in purchase.lines:
        if line.course_id not in snapshot or snapshot[line.course_id][0] != line.policy_id:
            raise CheckoutMismatch(course_id=line.course_id)
    return {str(line.course_id): snapshot[line.course_id][1] for line in purchase.lines}


def find_order(*, account_id: int, order_number: str) -> Order | None:
    """The buyer's order with its lines and timeline, or None while there is no order (yet)."""
    return Order.objects.filter(account_id=account_id, order_number=order_number).prefetch_related("lines", "events").first()


def get_order(*, account_id: int, order_number: str) -> Order:
    """The buyer's order.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.
    """
    order = find_order(account_id=account_id, order_number=order_number)
    if order is None:
        raise OrderNotFound
    return order


def get_request(*, account_id: int, order_number: str) -> OrderRequest:
    """The buyer's order request.

    Raises:
        OrderNotFound: there is none, or it is somebody else's.
    """
    request = OrderRequest.objects.filter(account_id=account_id, order_number=order_number).first()
    if request is None:
        raise OrderNotFound
    return request


def list_orders(*, account: Account, status: str | None = None) -> QuerySet[Order]:
    """The buyer's orders, newest first."""
    orders = Order.objects.filter(account=account).prefetch_related("lines").order_by("-id")
    return orders.filter(status=status) if status else orders


def read_version(*, account_id: int, order_number: str) -> tuple[str, int] | None:
    """(status, version) of an order, its request's status and 0 while there is none, or None; what a waiting poller compares."""
    found: tuple[str, int] | None = (
        Order.objects.filter(account_id=account_id, order_number=order_number).values_list("status", "version").first()
    )
    if found is not None:
        return found
    status = OrderRequest.objects.filter(account_id=account_id, order_number=order_number).values_list("status", flat=True).first()
    return None if status is None else (status, 0)


def requested_lines(body: Mapping[str, Any]) -> list[LineChoice]:
    """The lines of a stored request."""
    return [LineChoice(*line) for line in body["lines"]]
