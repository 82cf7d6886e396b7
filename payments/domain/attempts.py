"""Payment attempts: one live attempt per order, under an `out_trade_no` of its own."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from payments.domain import expiry
from payments.gateways.protocol import Gateway, GatewayUnreachable, PaymentIntent
from payments.models import Payment
from payments.states import PaymentStatus, Product
from shop.domain.timeline import event, record
from shop.errors import OrderNotPayable
from shop.models import Order, OrderEvent, OrderLine
from shop.states import OrderStatus


@dataclass(frozen=True, slots=True)
class Started:
    """How the buyer gets to pay: exactly one of the three is set, by the product."""

    payment: Payment
    pay_url: str | None = None
    order_string: str | None = None
    qr_code: str | None = None


def start_payment(*, order: Order, product: Product, gateway: Gateway, now: datetime, cause: str) -> Started:
    """Opens the order's attempt, or re-uses the open one of the same product; one of another product is closed at the gateway first.

    Raises:
        OrderNotPayable: the order isn't awaiting payment, its shown deadline is over, or its buyer has cancelled it.
        GatewayUnreachable, GatewayRejected: the old attempt couldn't be closed, or the code for scanning not be had; nothing is lost.
    """
    payment = open_payment(order=order, product=product, gateway=gateway, now=now, cause=cause)
    if payment.product != product:
        expiry.settle_or_close(payment, gateway=gateway, now=now, cause=cause)
        payment = open_payment(order=order, product=product, gateway=gateway, now=now, cause=cause)
        if payment.product != product:
            raise GatewayUnreachable("the attempt of another product is still open")
    intent = intent_of(payment)
    match product:
        case Product.PAGE:
            return Started(payment, pay_url=gateway.page_url(intent))
        case Product.WAP:
            return Started(payment, pay_url=gateway.wap_url(intent))
        case Product.APP:
            return Started(payment, order_string=gateway.app_order_string(intent))
        case Product.QR:
            return Started(payment, qr_code=gateway.create_qr(intent))


def open_payment(*, order: Order, product: Product, gateway: Gateway, now: datetime, cause: str) -> Payment:
    """The order's live attempt, created with `product` if there is none.

    Raises:
        OrderNotPayable: as `start_payment`.
    """
    with transaction.atomic(durable=True):
        locked = Order.objects.select_for_update(no_key=True).get(pk=order.pk)
        if locked.status != OrderStatus.AWAITING_PAYMENT or locked.expires_at <= now or locked.cancel_requested_at is not None:
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
        record(
            [
                event(
                    locked,
                    OrderEvent.Kind.PAYMENT_STARTED,
                    now=now,
                    cause=cause,
                    out_trade_no=payment.out_trade_no,
                    product=product.value,
                    amount=str(payment.amount),
                )
            ]
        )
        Order.objects.filter(pk=locked.pk).update(version=F("version") + 1)
    return payment


def intent_of(payment: Payment) -> PaymentIntent:
    """What the gateway is told about the attempt."""
    names = list(OrderLine.objects.filter(order=payment.order_id).order_by("id").values_list("course_name", flat=True))
    subject = names[0] if len(names) == 1 else f"{names[0]} 等{len(names)}门课程"
    return PaymentIntent(out_trade_no=payment.out_trade_no, amount=payment.amount, subject=subject, expires_at=payment.expires_at)
