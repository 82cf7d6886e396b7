"""Asking the gateway about payments that no notification came for."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from payments.domain import confirming, expiry, settlement
from payments.gateways.protocol import Gateway
from payments.models import Payment
from payments.states import PaymentStatus
from shop.domain import work
from shop.models import Order
from shop.states import OrderStatus


def query_due_payments(*, gateway: Gateway, now: datetime, cause: str) -> int:
    """Queries due payments, one after the other; returns how many it claimed."""
    return work.drain(Payment, lambda ids: query_payment(ids[0], gateway=gateway, now=now, cause=cause), now=now, batch_size=1)


def query_payment(payment_id: int, *, gateway: Gateway, now: datetime, cause: str) -> None:
    """Asks about one open payment, outside any transaction, and applies the answer in one. One whose order is over is closed there.

    One that was closed before the gateway knew of it is asked about a last time, when it can't be paid any more.

    Raises:
        GatewayUnreachable, GatewayRejected: nothing has changed.
    """
    payment = Payment.objects.select_related("order").get(pk=payment_id)
    if payment.status == PaymentStatus.CLOSED and payment.available_at is not None:
        _look_again(payment, gateway=gateway, now=now, cause=cause)
        return
    if payment.status != PaymentStatus.OPEN:
        Payment.objects.filter(pk=payment_id).exclude(status=PaymentStatus.OPEN).update(available_at=None)
        return
    if Order.objects.values_list("status", flat=True).get(pk=payment.order_id) != OrderStatus.AWAITING_PAYMENT:
        expiry.settle_or_close(payment, gateway=gateway, now=now, cause=cause)
        return
    report = gateway.query(payment.out_trade_no)
    with transaction.atomic(durable=True):
        if report is not None:
            settlement.apply_trades([report], now=now, cause=cause)
        confirming.note_answer(payment.order, asked_at=now)
        # While the gateway says that nothing was paid, we ask again and again; the order's own end closes the attempt.
        next_query = now + timedelta(seconds=settings.PAYMENT_QUERY_INTERVAL_S)
        # An answer is no failure: the count of attempts starts anew.
        Payment.objects.filter(pk=payment_id, status=PaymentStatus.OPEN).update(available_at=next_query, attempts=0, dead_at=None)


def _look_again(payment: Payment, *, gateway: Gateway, now: datetime, cause: str) -> None:
    report = gateway.query(payment.out_trade_no)
    if report is not None and settlement.is_unpaid(report):
        gateway.close(payment.out_trade_no)
        report = gateway.query(payment.out_trade_no)
    with transaction.atomic(durable=True):
        if report is not None:
            settlement.apply_trades([report], now=now, cause=cause)
        confirming.note_answer(payment.order, asked_at=now)
        # Asked while it can still be paid (claimed open, closed meanwhile), this wasn't the last time.
        next_query = payment.order.closes_at if now < payment.expires_at else None
        Payment.objects.filter(pk=payment.pk, status=PaymentStatus.CLOSED).update(available_at=next_query)


def give_up_payments(*, now: datetime) -> int:
    """Leaves the payments that the gateway wouldn't tell about to people; a notification still settles them. Returns how many."""
    return len(work.bury_exhausted(Payment, now=now))
