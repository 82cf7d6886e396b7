"""Applies signed reports by Alipay about a payment, like a worker."""

from typing import Any

from payments.domain.trades import attempts, inbox, polling
from payments.gateways import ConfiguredGateways
from payments.gateways.protocol import Gateway
from payments.models import Notification, Payment
from payments.states import Product
from shop.models import Order
from tests.factories import NOW
from tests.payments.alipay_side import (
    encoded,
    gateway_server,
    make_gateway,
    notification,
    paid_fields,
    signed_answer,
)


def make_payment(
    order: Order, gateway: Gateway, *, product: Product = Product.PAGE, now: Any = NOW
) -> Payment:
    """The order's open attempt."""
    return attempts.open_payment(
        order=order, product=product, gateways=ConfiguredGateways(gateway), now=now, cause="test"
    )


def tell(gateway: Gateway, *forms: dict[str, str], now: Any = NOW) -> list[Notification]:
    """Stores notifications, applies them in one batch, and returns their rows."""
    gateways = ConfiguredGateways(gateway)
    for form in forms:
        inbox.store_notification(
            gateways=gateways, provider=gateway.name, headers={}, body=encoded(form).encode(), now=now
        )
    rows = list(Notification.objects.filter(status="received").order_by("pk"))
    inbox.apply_notifications([row.pk for row in rows], gateways=gateways, now=now, cause="task:1")
    for row in rows:
        row.refresh_from_db()
    return rows


def ask(payment: Payment, *, now: Any = NOW, trade_status: str = "TRADE_SUCCESS", **changes: str) -> None:
    """Queries the payment like a worker; Alipay gives this answer."""
    told = {
        "code": "10000",
        "out_trade_no": payment.out_trade_no,
        "trade_no": paid_fields(payment)["trade_no"],
        "trade_status": trade_status,
        "total_amount": str(payment.amount),
        "send_pay_date": "2026-03-02 12:01:04",
        **changes,
    }
    with gateway_server(lambda asked: signed_answer(asked["method"], told)) as alipay:
        polling.query_payment(
            payment.pk, gateways=ConfiguredGateways(make_gateway(alipay.url)), now=now, cause="task:2"
        )


def notify(gateway: Gateway, payment: Payment, *, now: Any = NOW, **changes: str) -> Notification:
    """Delivers and applies a notification that the payment is paid, modified by `changes`."""
    return tell(gateway, notification(payment, **changes), now=now)[-1]
