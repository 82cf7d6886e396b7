"""Closes an order that won't be paid and gives its coupons and 贝里 back to the buyer.

Also reopens an expired order when its payment arrives late.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from shop.domain import ledger, locks, sql
from shop.domain.coupons.coupons import is_in_date
from shop.domain.orders import fulfilment
from shop.domain.orders.finding import missing_order
from shop.domain.orders.timeline import by_staff, event, record
from shop.errors import OrderNotCancellable, StaleState
from shop.models import Account, CouponRecord, Order, OrderEvent, OrderLine
from shop.states import CouponRecordStatus, OrderStatus
from shop.tracing import batch_did


def request_cancel(
    *,
    account_id: int,
    order_number: str,
    now: datetime,
    cause: str,
    staff: Account | None = None,
    why: str = "",
) -> Order:
    """Notes that the buyer, or staff on their behalf, cancels the order, and makes it due at once.

    From here on no new payment can be started. Asking twice has no further effect.

    Raises:
        OrderNotFound, OrderPending, OrderRejected: as `orders.get_order`.
        OrderNotCancellable: it is paid or closed.
    """
    with transaction.atomic(durable=True):
        order = locks.lock_own_order(account_id=account_id, order_number=order_number)
        if order is None:
            raise missing_order(account_id=account_id, order_number=order_number)
        if order.status not in {OrderStatus.AWAITING_PAYMENT, OrderStatus.CANCELLED}:
            raise OrderNotCancellable(status=order.status)
        if order.status == OrderStatus.CANCELLED or order.cancel_requested_at is not None:
            return order
        order.cancel_requested_at = order.available_at = now
        # One that was given up is tried again.
        order.attempts, order.dead_at = 0, None
        order.save(update_fields=["cancel_requested_at", "available_at", "attempts", "dead_at"])
        record([event(order, OrderEvent.Kind.CANCEL_REQUESTED, now=now, cause=cause, **by_staff(staff, why))])
    return order


_CLOSE = sql.statement(
    """
    UPDATE shop_order SET status = told.status, closed_at = %s, available_at = NULL, dead_at = NULL
    FROM unnest(%s::bigint[], %s::text[]) AS told(id, status)
    WHERE shop_order.id = told.id AND shop_order.status = {OrderStatus.AWAITING_PAYMENT}
""",
    OrderStatus,
)
_RELEASE_COUPONS = sql.statement(
    "UPDATE shop_couponrecord SET status = {CouponRecordStatus.UNUSED}, order_id = NULL WHERE order_id = "
    "ANY(%s) AND status = {CouponRecordStatus.RESERVED}",
    CouponRecordStatus,
)


def close_orders(orders: Sequence[Order], *, now: datetime, cause: str) -> None:
    """Closes unpaid orders in the caller's transaction: cancelled if their buyer asked for that, else
    expired.

    The caller holds the locks of the orders' accounts and of the orders, and knows that no money can be on
    its way in.

    Raises:
        StaleState: one of them isn't awaiting payment.
    """
    if not orders:
        return
    ids = [order.pk for order in orders]
    statuses = [
        OrderStatus.CANCELLED if order.cancel_requested_at else OrderStatus.EXPIRED for order in orders
    ]
    if sql.write(_CLOSE, [now, ids, [status.value for status in statuses]]) != len(ids):
        raise StaleState(
            f"one of the orders {[order.order_number for order in orders]} is not awaiting payment"
        )
    sql.write(_RELEASE_COUPONS, [ids])
    sql.insert(ledger.release_transfers(orders, now=now))
    for order, status in zip(orders, statuses, strict=True):
        order.status, order.closed_at = status, now
    record(
        [
            event(order, _CLOSED_AS[OrderStatus(order.status)], now=now, cause=cause, beili=order.beili)
            for order in orders
        ]
    )
    batch_did(
        "orders_closed", [order.trace_id for order in orders], Counter(status.value for status in statuses)
    )


_CLOSED_AS = {OrderStatus.CANCELLED: OrderEvent.Kind.CANCELLED, OrderStatus.EXPIRED: OrderEvent.Kind.EXPIRED}


def reopen_order(order: Order, *, now: datetime, cause: str) -> bool:
    """Takes an expired order's coupons and 贝里 again and finalises it, since its money came; False (and
    nothing changed) if they are gone.

    A coupon whose last day is over is gone, whether or not the clean-up has marked it yet.

    In the caller's transaction, which holds the locks of the account and of the order. The price is the one
    that was paid.

    Raises:
        StaleState: the order isn't expired.
    """
    if order.status != OrderStatus.EXPIRED:
        raise StaleState(f"order {order.order_number} is not expired")
    record_ids = coupon_record_ids(order)
    account = Account.objects.get(pk=order.account_id)
    records = locks.lock_unused_coupons(record_ids)
    if (
        account.balance < order.beili
        or len(records) != len(record_ids)
        or not all(is_in_date(record, now=now) for record in records)
    ):
        return False
    CouponRecord.objects.filter(pk__in=record_ids).update(status=CouponRecordStatus.RESERVED, order=order)
    sql.insert(ledger.hold_transfers([order], now=now, cause="rehold"))
    record([event(order, OrderEvent.Kind.REOPENED, now=now, cause=cause)])
    fulfilment.finalise_orders([order], now=now, cause=cause, came_from=OrderStatus.EXPIRED)
    order.status = OrderStatus.PAID
    return True


def coupon_record_ids(order: Order) -> Sequence[int]:
    """The coupons that the order was made with, whatever became of them since."""
    ids = list(
        OrderLine.objects.filter(order=order, coupon_record__isnull=False).values_list(
            "coupon_record_id", flat=True
        )
    )
    return sorted(
        [pk for pk in ids if pk is not None]
        + ([order.global_coupon_record_id] if order.global_coupon_record_id else [])
    )
