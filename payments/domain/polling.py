"""Asking the gateway about trades: those that no notification came for, and those of which a notification said something surprising."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from payments.domain import confirming, expiry, inbox, settlement
from payments.domain.locks import lock_payment
from payments.domain.outcomes import Outcome
from payments.gateways.protocol import Gateways, TradeReport
from payments.models import Payment, Refund
from payments.states import REFUNDS_UNDER_WAY, ClosedReason, PaymentStatus, RefundStatus
from shop.domain import work
from shop.domain.locks import lock_order
from shop.domain.timeline import by_staff, event, record
from shop.errors import OrderNotPayable
from shop.models import Account, Order, OrderEvent
from shop.states import OrderStatus


def query_due_payments(*, gateways: Gateways, now: datetime, cause: str) -> int:
    """Queries due payments, one after the other; returns how many it claimed."""
    return work.drain(Payment, lambda ids: query_payment(ids[0], gateways=gateways, now=now, cause=cause), now=now, batch_size=1)


def query_payment(payment_id: int, *, gateways: Gateways, now: datetime, cause: str) -> None:
    """Asks about one payment, outside any transaction, and applies the answer in one. An open one whose order is over is closed there.

    Raises:
        GatewayUnreachable, GatewayRejected, GatewayNotConfigured: nothing has changed.
    """
    payment = Payment.objects.select_related("order").get(pk=payment_id)
    if payment.status != PaymentStatus.OPEN:
        if payment.available_at is not None:
            _look_again(payment, gateways=gateways, now=now, cause=cause)
        return
    if payment.order.status != OrderStatus.AWAITING_PAYMENT:
        expiry.settle_or_close(payment, gateways=gateways, now=now, cause=cause)
        return
    report = gateways.gateway_for(payment).query(payment.out_trade_no)
    # While the gateway says that nothing was paid, we ask again and again; the order's own end closes the attempt.
    _apply(payment, report, next_query=now + timedelta(seconds=settings.PAYMENT_QUERY_INTERVAL_S), now=now, cause=cause)


def ask_about_payment(payment_id: int, *, now: datetime, staff: Account | None = None, why: str = "", cause: str = "") -> None:
    """Makes the payment due for a query at once, whatever state we believe it in. Picks up one that was given up, too."""
    with transaction.atomic(durable=True):
        payment = lock_payment(payment_id)
        settlement.ask_again(payment, at=now)
        _tell_asked(payment.order, staff, why, now=now, cause=cause)


def ask_about_order(order_id: int, *, staff: Account, why: str, now: datetime, cause: str) -> int:
    """Makes every payment of the order due for a query at once, and every refund of it that the gateway may know of; returns how many.

    Raises:
        OrderNotPayable: the order has neither.
    """
    with transaction.atomic(durable=True):
        order = lock_order(order_id)
        payments = list(Payment.objects.filter(order=order).order_by("pk"))
        for payment in payments:
            settlement.ask_again(payment, at=now)
        pending = Refund.objects.filter(order=order, status__in=[*REFUNDS_UNDER_WAY, RefundStatus.REPORTED])
        count = len(payments) + pending.update(available_at=now, attempts=0, dead_at=None)
        if not count:
            raise OrderNotPayable(status=order.status)
        _tell_asked(order, staff, why, now=now, cause=cause)
    return count


def _tell_asked(order: Order, staff: Account | None, why: str, *, now: datetime, cause: str) -> None:
    if staff is not None:
        record([event(order, OrderEvent.Kind.ASKED_GATEWAY, now=now, cause=cause, **by_staff(staff, why))])


def give_up_payments(*, now: datetime) -> int:
    """Leaves the payments that the gateway wouldn't tell about to people; a notification still settles them. Returns how many."""
    buried = work.bury_exhausted(Payment, now=now)
    for payment_id in buried:
        inbox.quarantine_asked(payment_id, Outcome.CONTRADICTED, now=now)
    return len(buried)


def _look_again(payment: Payment, *, gateways: Gateways, now: datetime, cause: str) -> None:
    """Asks about a payment that isn't open: it was closed before the gateway knew of it, or a notification would have surprised."""
    gateway = gateways.gateway_for(payment)
    report = gateway.query(payment.out_trade_no)
    if report is not None and settlement.is_unpaid(report) and payment.status == PaymentStatus.CLOSED:
        gateway.close(payment.out_trade_no)
        report = gateway.query(payment.out_trade_no)
    can_still_be_paid = payment.closed_reason == ClosedReason.NEVER_PAID and now < payment.expires_at
    _apply(payment, report, next_query=settlement.last_look_at(payment) if can_still_be_paid else None, now=now, cause=cause)


def _apply(payment: Payment, report: TradeReport | None, *, next_query: datetime | None, now: datetime, cause: str) -> None:
    """Applies a query's answer, and answers with it the notifications that had waited for it."""
    with transaction.atomic(durable=True):
        lock_payment(payment.pk)
        # Before the answer is applied, which may want another look sooner or later. An answer is no failure: the count starts at zero.
        unchanged = Payment.objects.filter(pk=payment.pk, status=payment.status)
        unchanged.update(available_at=next_query, attempts=0, dead_at=None)
        applied = settlement.apply_trades([report], now=now, cause=cause)[0] if report is not None else None
        inbox.answer_asked(payment.pk, applied, now=now)
        confirming.note_answer(payment.order, asked_at=now)
