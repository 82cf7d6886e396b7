"""Payment attempts: one live attempt per order, under an `out_trade_no` of its own."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction

from payments.domain.locks import lock_payment
from payments.domain.trades import expiry
from payments.errors import OrderNotPayable
from payments.gateways.protocol import (
    Gateway,
    GatewayRejected,
    Gateways,
    GatewayUnreachable,
    PaymentIntent,
    Refusal,
)
from payments.models import Payment
from payments.states import PaymentStatus, Product
from shop.domain.locks import lock_order
from shop.domain.orders.timeline import event, record
from shop.models import Order, OrderEvent, OrderLine
from shop.states import OrderStatus
from shop.tracing import purchase

log = structlog.get_logger(__name__)

# Refusals that mean that the trade has moved on without our knowing. A query tells its state.
_MOVED_ON = frozenset(
    {Refusal.ALREADY_PAID, Refusal.TRADE_CLOSED, Refusal.TRADE_FINISHED, Refusal.WRONG_STATE}
)


@dataclass(frozen=True, slots=True)
class Started:
    """How the buyer gets to pay: exactly one of the three is set, by the product."""

    payment: Payment
    pay_url: str | None = None
    order_string: str | None = None
    qr_code: str | None = None


def start_payment(
    *, order: Order, product: Product, gateways: Gateways, now: datetime, cause: str
) -> Started:
    """Opens the order's attempt, or reuses the open one.

    An open attempt of another product is switched to this product if no buyer has shown up for it, else it is
    closed at the gateway first. If the gateway says that it was paid or closed, it is queried at once and the
    answer is applied.

    Raises:
        OrderNotPayable: the order isn't awaiting payment (it may just have turned out paid), its shown
            deadline is over, or its buyer has cancelled it.
        GatewayUnreachable, GatewayRejected, GatewayNotConfigured: nothing is lost.
    """
    with purchase("start_payment", order.trace_id):
        return _start_payment(order, product, gateways=gateways, now=now, cause=cause)


def _start_payment(
    order: Order, product: Product, *, gateways: Gateways, now: datetime, cause: str
) -> Started:
    payment = open_payment(order=order, product=product, gateways=gateways, now=now, cause=cause)
    if payment.product != product:
        payment = _change_product(payment, product, gateways=gateways, now=now, cause=cause)
    try:
        return _start(payment, gateways.gateway_for(payment))
    except GatewayRejected as refusal:
        if refusal.refusal not in _MOVED_ON:
            raise
        expiry.settle_or_close(payment, gateways=gateways, now=now, cause=cause)
    # Paid: refused here. Closed: another attempt.
    payment = open_payment(order=order, product=product, gateways=gateways, now=now, cause=cause)
    return _start(payment, gateways.gateway_for(payment))


def open_payment(*, order: Order, product: Product, gateways: Gateways, now: datetime, cause: str) -> Payment:
    """The order's live attempt, created with `product` and today's credentials if there is none.

    Raises:
        OrderNotPayable: as `start_payment`.
    """
    with transaction.atomic(durable=True):
        locked = lock_order(order.pk)
        if (
            locked.status != OrderStatus.AWAITING_PAYMENT
            or locked.expires_at <= now
            or locked.cancel_requested_at is not None
        ):
            raise OrderNotPayable(status=locked.status)
        payment = Payment.objects.filter(order=locked, status=PaymentStatus.OPEN).first()
        if payment is not None:
            return payment
        gateway = gateways.current
        payment = Payment.objects.create(
            order=locked,
            provider=gateway.name,
            product=product,
            out_trade_no=f"{locked.order_number}P{Payment.objects.filter(order=locked).count() + 1}",
            amount=locked.cash_due,
            app_id=gateway.app_id,
            seller_id=gateway.seller_id,
            created_at=now,
            buyer_seen_at=now,
            expires_at=locked.expires_at,
            available_at=now + timedelta(seconds=settings.PAYMENT_FIRST_QUERY_S),
        )
        details = {
            "out_trade_no": payment.out_trade_no,
            "product": product.value,
            "amount": str(payment.amount),
        }
        record([event(locked, OrderEvent.Kind.PAYMENT_STARTED, now=now, cause=cause, **details)])
    log.info("payment_opened", **details)
    return payment


def intent_of(payment: Payment) -> PaymentIntent:
    """What the gateway is told about the attempt."""
    names = list(
        OrderLine.objects.filter(order=payment.order_id).order_by("id").values_list("course_name", flat=True)
    )
    subject = names[0] if len(names) == 1 else f"{names[0]} 等{len(names)}门课程"
    return PaymentIntent(
        out_trade_no=payment.out_trade_no,
        amount=payment.amount,
        subject=subject,
        expires_at=payment.expires_at,
    )


def _start(payment: Payment, gateway: Gateway) -> Started:
    intent = intent_of(payment)
    match Product(payment.product):
        case Product.PAGE:
            return Started(payment, pay_url=gateway.page_url(intent))
        case Product.WAP:
            return Started(payment, pay_url=gateway.wap_url(intent))
        case Product.APP:
            return Started(payment, order_string=gateway.app_order_string(intent))
        case Product.QR:
            return Started(payment, qr_code=gateway.create_qr(intent))


def _change_product(
    payment: Payment, product: Product, *, gateways: Gateways, now: datetime, cause: str
) -> Payment:
    """The order's attempt, switched to another product.

    Until a buyer shows up there is no trade, and the number is free for any product: the first buyer to show
    up makes the one trade of it, whichever link or code they use.
    """
    if gateways.gateway_for(payment).query(payment.out_trade_no) is None:
        with transaction.atomic(durable=True):
            locked = lock_payment(payment.pk)
            if Payment.objects.filter(pk=payment.pk, status=PaymentStatus.OPEN).update(product=product):
                locked.product = product
                return locked
    else:
        expiry.settle_or_close(payment, gateways=gateways, now=now, cause=cause)
    payment = open_payment(order=payment.order, product=product, gateways=gateways, now=now, cause=cause)
    if payment.product != product:
        raise GatewayUnreachable("the attempt of another product is still open")
    return payment
