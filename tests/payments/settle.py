"""Paying, as a worker does it after a notification."""

from typing import Any

from payments.domain import attempts, inbox
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import Gateway
from payments.models import Notification, Payment
from payments.states import Product
from shop.models import Order
from tests.factories import NOW
from tests.payments.alipay_side import encoded, notification


def make_payment(order: Order, gateway: Gateway, *, product: Product = Product.PAGE, now: Any = NOW) -> Payment:
    """The order's open attempt."""
    return attempts.open_payment(order=order, product=product, gateways=ConfiguredGateways(gateway), now=now, cause="test")


def tell(gateway: Gateway, *forms: dict[str, str], now: Any = NOW) -> list[Notification]:
    """Stores notifications, applies them in one batch, and returns their rows."""
    gateways = ConfiguredGateways(gateway)
    for form in forms:
        inbox.store_notification(gateways=gateways, provider=gateway.name, headers={}, body=encoded(form).encode(), now=now)
    rows = list(Notification.objects.filter(status="received").order_by("pk"))
    inbox.apply_notifications([row.pk for row in rows], gateways=gateways, now=now, cause="task:1")
    for row in rows:
        row.refresh_from_db()
    return rows


def pay(payment: Payment, gateway: Gateway, *, now: Any = NOW, **changes: str) -> Notification:
    """Alipay tells that the payment is paid."""
    return tell(gateway, notification(payment, **changes), now=now)[-1]
