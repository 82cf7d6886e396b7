"""The one door to row locks of payments.

They come after the shop's: accounts, (coupon records,) orders, payments, refunds, each by id. Bills and their
differences come last.

Notifications come before all of them, since the holder of one goes on to lock what it is about.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from payments.models import Bill, BillDifference, Notification, Payment, Refund
from payments.states import NotificationStatus
from shop.domain import sql
from shop.domain.locks import existing, lock_accounts, lock_order
from shop.models import Order

_FIND_CONCERNED = """
    SELECT payment.id, orders.id, orders.account_id FROM payments_payment AS payment
    JOIN shop_order AS orders ON orders.id = payment.order_id
    WHERE payment.out_trade_no = ANY(%s)
"""
_LOCK_ORDERS = (
    "SELECT id, account_id, order_number, status, beili, trace_id FROM shop_order WHERE "
    "id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
)
_LOCK_ATTEMPTS = """
    SELECT id, order_id, out_trade_no, amount, app_id, seller_id, status, closed_reason, trade_no, paid_at,
        refund_told
    FROM payments_payment WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
# Waits, as order creation does and for the same reason.
_LOCK_RECEIVED = sql.statement(
    """
    SELECT id, provider, raw_body, out_trade_no, request_id FROM payments_notification
    WHERE id = ANY(%s) AND status = {NotificationStatus.RECEIVED} ORDER BY id FOR NO KEY UPDATE
""",
    NotificationStatus,
)
# The `notification_personal_data` index finds them. What waits, for a worker or for people, keeps its signed
# words: applying it verifies them.
_LOCK_HANDLED = sql.statement(
    """
    SELECT id, raw_body FROM payments_notification
    WHERE status IN ({NotificationStatus.APPLIED}, {NotificationStatus.IGNORED}) AND raw_body <> ''
        AND handled_at < %(before)s AND (%(account_id)s::bigint IS NULL OR payment_id IN (
        SELECT payment.id FROM payments_payment AS payment
        JOIN shop_order AS placed ON placed.id = payment.order_id
        WHERE placed.account_id = %(account_id)s::bigint
    ))
    ORDER BY handled_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
""",
    NotificationStatus,
)


def lock_attempts(out_trade_nos: Collection[str]) -> Mapping[str, Payment]:
    """The payments by `out_trade_no`, with their accounts, orders and themselves locked.

    Payments and orders know the columns that ordinary reports need; any other is read when a rare one asks
    for it.
    """
    concerned = sql.read(_FIND_CONCERNED, [list(out_trade_nos)])
    if not concerned:
        return {}
    payment_ids, order_ids, account_ids = (list(ids) for ids in zip(*concerned, strict=True))
    lock_accounts(account_ids)
    orders = {
        pk: sql.made(Order, id=pk, **dict(zip(_ORDER, values, strict=True)))
        for pk, *values in sql.read(_LOCK_ORDERS, [order_ids])
    }
    payments = {}
    for pk, *values in sql.read(_LOCK_ATTEMPTS, [payment_ids]):
        payment = sql.made(Payment, id=pk, **dict(zip(_ATTEMPT, values, strict=True)))
        # one object per order, so that a second payment in the batch sees the first
        payment.order = orders[payment.order_id]
        payments[payment.out_trade_no] = payment
    return payments


_ORDER = ("account_id", "order_number", "status", "beili", "trace_id")
_ATTEMPT = (
    "order_id",
    "out_trade_no",
    "amount",
    "app_id",
    "seller_id",
    "status",
    "closed_reason",
    "trade_no",
    "paid_at",
    "refund_told",
)


def lock_payment(payment_id: int) -> Payment:
    """The payment whole, with its account, order and itself locked.

    Raises:
        NotFound
    """
    order_id = Payment.objects.filter(pk=payment_id).values_list("order_id", flat=True).first()
    order = lock_order(existing(order_id))
    payment = Payment.objects.select_for_update(no_key=True, of=("self",)).get(pk=payment_id)
    payment.order = order
    return payment


def lock_refund(refund_id: int) -> Refund:
    """The refund with its account, order, payment and itself locked.

    Raises:
        NotFound
    """
    found = Refund.objects.filter(pk=refund_id).values_list("order_id", "payment_id").first()
    order_id, payment_id = existing(found)
    order, payment = lock_order(order_id), None
    if payment_id is not None:
        payment = Payment.objects.select_for_update(no_key=True, of=("self",)).get(pk=payment_id)
        payment.order = order
    refund = Refund.objects.select_for_update(no_key=True, of=("self",)).get(pk=refund_id)
    refund.order, refund.payment = order, payment
    return refund


def lock_bill(bill_id: int) -> Bill:
    """The bill, locked.

    Raises:
        NotFound
    """
    return existing(Bill.objects.select_for_update(no_key=True, of=("self",)).filter(pk=bill_id).first())


def lock_difference(difference_id: int) -> BillDifference:
    """The difference, with its account and order, if it is about one, and itself locked.

    Raises:
        NotFound
    """
    (order_id,) = existing(BillDifference.objects.filter(pk=difference_id).values_list("order_id").first())
    order = None if order_id is None else lock_order(order_id)
    difference = BillDifference.objects.select_for_update(no_key=True, of=("self",)).get(pk=difference_id)
    difference.order = order
    return difference


def lock_received(notification_ids: Collection[int]) -> list[Any]:
    """The notifications among these that nobody has dealt with, locked by id: (id, provider, body,
    `out_trade_no`, the id of the HTTP request) each.
    """
    return sql.read(_LOCK_RECEIVED, [list(notification_ids)])


def lock_notification(notification_id: int) -> Notification:
    """The notification, locked.

    Raises:
        NotFound
    """
    return existing(
        Notification.objects.select_for_update(no_key=True, of=("self",)).filter(pk=notification_id).first()
    )


def lock_handled_notifications(
    *, before: datetime, account_id: int | None, limit: int | None
) -> list[tuple[int, str]]:
    """Up to `limit` notifications that were handled before a time and are still whole, locked, each with its
    text; passes over those that somebody else holds.

    `account_id` asks for those about that account's payments alone.
    """
    return sql.read(_LOCK_HANDLED, {"before": before, "account_id": account_id, "limit": limit})
