"""What staff do when the shop has given up, or a buyer needs time: work is picked up again, a deadline is
moved.
"""

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from shop.domain import locks
from shop.domain.orders.timeline import by_staff, event, record
from shop.domain.polling.answer_cache import mark_changed
from shop.domain.work import due_rows
from shop.errors import CheckoutUsed, DeadlineNotMovable, WorkNotDead
from shop.models import Account, Order, OrderEvent, OrderRequest
from shop.states import OrderRequestStatus, OrderStatus

# Alipay keeps a trade open for fifteen days at most.
LONGEST_DEADLINE = timedelta(days=15)
SHORTEST_DEADLINE = timedelta(minutes=1)


def pick_up_request(request_id: int, *, now: datetime) -> OrderRequest:
    """Lets a worker decide a request again that was given up. A refusal by a rule stays.

    Raises:
        NotFound: no such request.
        WorkNotDead: it wasn't given up.
        CheckoutUsed: its buyer has ordered from the same checkout since.
    """
    undecided: dict[str, Any] = {
        "status": OrderRequestStatus.PENDING,
        "decided_at": None,
        "error_slug": "",
        "error_message": "",
        "error_details": {},
    }
    try:
        with transaction.atomic(durable=True):
            request = locks.lock_request(request_id)
            due_rows.pick_up(request, now=now, **undecided)
            mark_changed([request.order_number])
    except IntegrityError as error:
        if "order_request_one_per_checkout" in str(error):
            raise CheckoutUsed from error
        raise
    return request


def pick_up_order(order_id: int, *, staff: Account, why: str, now: datetime, cause: str) -> Order:
    """Lets a worker close an order again, or settle it, that was given up.

    Raises:
        OrderNotFound
        WorkNotDead: it wasn't given up.
    """
    with transaction.atomic(durable=True):
        order = locks.lock_order(order_id)
        if order.status != OrderStatus.AWAITING_PAYMENT:
            raise WorkNotDead
        due_rows.pick_up(order, now=now)
        record(
            [
                event(
                    order,
                    OrderEvent.Kind.PICKED_UP,
                    now=now,
                    cause=cause,
                    what="order",
                    **by_staff(staff, why),
                )
            ]
        )
    return order


def move_deadline(
    order_id: int, *, expires_at: datetime, staff: Account, why: str, now: datetime, cause: str
) -> Order:
    """Gives the buyer of an unpaid order another deadline.

    An attempt that is open at the gateway keeps its own; the next one has this.

    Raises:
        OrderNotFound
        DeadlineNotMovable: it is paid, closed or being cancelled, or the deadline isn't within the next
            fifteen days.
    """
    with transaction.atomic(durable=True):
        order = locks.lock_order(order_id)
        if order.status != OrderStatus.AWAITING_PAYMENT or order.cancel_requested_at is not None:
            raise DeadlineNotMovable(status=order.status)
        if not now + SHORTEST_DEADLINE <= expires_at <= now + LONGEST_DEADLINE:
            raise DeadlineNotMovable(expires_at=expires_at.isoformat(timespec="seconds"))
        details = {
            "before": order.expires_at.isoformat(timespec="seconds"),
            "expires_at": expires_at.isoformat(timespec="seconds"),
        }
        order.expires_at, order.closes_at = expires_at, expires_at + timedelta(seconds=settings.ORDER_GRACE_S)
        order.available_at, order.attempts, order.dead_at = order.closes_at, 0, None
        order.save(update_fields=["expires_at", "closes_at", "available_at", "attempts", "dead_at"])
        record(
            [
                event(
                    order,
                    OrderEvent.Kind.DEADLINE_MOVED,
                    now=now,
                    cause=cause,
                    **details,
                    **by_staff(staff, why),
                )
            ]
        )
    return order
