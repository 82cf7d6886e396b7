"""Payment attempts: one live attempt per order, under an `out_trade_no` of its own."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from payments.gateways.protocol import Gateway, PaymentIntent
from payments.models import Payment
from payments.states import PaymentStatus, Product
from shop.domain.timeline import event
from shop.errors import OrderNotPayable
from shop.models import Order, OrderEvent, OrderLine
from shop.states import OrderStatus


def open_payment(*, order: Order, product: Product, gateway: Gateway, now: datetime, cause: str) -> Payment:
    """The order's live attempt, created if there is none. The same attempt serves for as long as it is open.

    Raises:
        OrderNotPayable: the order isn't awaiting payment, or its shown deadline is over.
    """
    with transaction.atomic(durable=True):
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        if locked.status != OrderStatus.AWAITING_PAYMENT or locked.expires_at <= now:
            raise OrderNotPayable(status=locked.status)
        payment = Payment.objects.filter(order=locked, status=PaymentStatus.OPEN).first()
        if payment is not None:
            return payment
        payment = Payment.objects.create(
            order=locked,
            provider=gateway.name,
            product=product,
            out_trade_no=f"{locked.order_number}P{Payment.objects.filter(order=locked).count() + 1}",
            amount=locked.cash_due,
            app_id=gateway.app_id,
            seller_id=gateway.seller_id,
            created_at=now,
            expires_at=locked.expires_at,
            available_at=now + timedelta(seconds=settings.PAYMENT_FIRST_QUERY_S),
        )
        event(
            locked, OrderEvent.Kind.PAYMENT_STARTED, now=now, cause=cause, out_trade_no=payment.out_trade_no, amount=str(payment.amount)
        ).save()
        Order.objects.filter(pk=locked.pk).update(version=F("version") + 1)
    return payment


def intent_of(payment: Payment) -> PaymentIntent:
    """What the gateway is told about the attempt."""
    names = list(OrderLine.objects.filter(order=payment.order_id).order_by("id").values_list("course_name", flat=True))
    subject = names[0] if len(names) == 1 else f"{names[0]} 等{len(names)}门课程"
    return PaymentIntent(out_trade_no=payment.out_trade_no, amount=payment.amount, subject=subject, expires_at=payment.expires_at)
