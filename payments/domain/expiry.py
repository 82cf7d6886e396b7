"""Orders whose time is over, or whose buyer wants out: nothing is released before Alipay can't take money for them any more."""

from datetime import datetime

from django.db import transaction

from payments.domain import inbox, settlement
from payments.domain.locks import lock_payment
from payments.gateways.protocol import GatewayRejected, Gateways, GatewayUnreachable
from payments.models import Payment
from payments.states import PaymentStatus
from shop.domain import closing, work
from shop.domain.locks import lock_order
from shop.models import Order
from shop.states import OrderStatus


def close_due_orders(*, gateways: Gateways | None, now: datetime, cause: str) -> int:
    """Claims and closes due orders, one after the other; returns how many it claimed."""
    return work.drain(Order, lambda ids: close_due_order(ids[0], gateways=gateways, now=now, cause=cause), now=now, batch_size=1)


def close_due_order(order_id: int, *, gateways: Gateways | None, now: datetime, cause: str) -> None:
    """Settles the order if its money has come after all, else closes it and gives coupons and 贝里 back.

    Raises:
        GatewayUnreachable: whether money came is unknown; the order waits, with everything it holds.
    """
    for payment in Payment.objects.filter(order=order_id, status=PaymentStatus.OPEN):
        if gateways is None:
            raise GatewayUnreachable("the gateway isn't configured")
        settle_or_close(payment, gateways=gateways, now=now, cause=cause)
    with transaction.atomic(durable=True):
        order = lock_order(order_id)
        if order.status != OrderStatus.AWAITING_PAYMENT:
            Order.objects.filter(pk=order_id).update(available_at=None)
            return
        if Payment.objects.filter(order=order, status=PaymentStatus.OPEN).exists():
            raise GatewayUnreachable("an attempt is still open: its trade is neither settled nor closed")
        closing.close_order(order, now=now, cause=cause)


def settle_or_close(payment: Payment, *, gateways: Gateways, now: datetime, cause: str) -> None:
    """Ends an open attempt for good: query, close, and query once more when the buyer was faster. Network first, one transaction last.

    A trade that Alipay doesn't know yet can't be closed there; its `time_expire` ends it, and money that comes until then is late money,
    which the poller looks for once more after that end, in case its notification gets lost.

    Raises:
        GatewayUnreachable, GatewayRejected, GatewayNotConfigured: its end is not known; it stays open.
    """
    gateway = gateways.gateway_for(payment)
    report = gateway.query(payment.out_trade_no)
    is_unseen = report is None and now < payment.expires_at
    if report is not None and settlement.is_unpaid(report):
        try:
            gateway.close(payment.out_trade_no)
            report = None
        except GatewayRejected:
            # Paid or closed in between.
            report = gateway.query(payment.out_trade_no)
            if report is not None and settlement.is_unpaid(report):
                raise GatewayUnreachable("the trade is neither paid nor to be closed") from None
    with transaction.atomic(durable=True):
        locked = lock_payment(payment.pk)
        if report is not None:
            applied = settlement.apply_trades([report], now=now, cause=cause)[0]
            inbox.answer_asked(payment.pk, applied, now=now)
        elif locked.status == PaymentStatus.OPEN:
            settlement.close_payment(locked, now=now, cause=cause, look_again_at=settlement.last_look_at(locked) if is_unseen else None)
            inbox.answer_asked(payment.pk, None, now=now)


def give_up_orders(*, now: datetime) -> int:
    """Leaves the orders that couldn't be closed to people, with everything that they hold. Returns how many."""
    return len(work.bury_exhausted(Order, now=now))
