"""Whether an order can be paid now, and its `pay_url`: a stable, signed link of our own.

`payments` serves the link. Only its form is defined here.
"""

from datetime import datetime
from enum import StrEnum

from django.conf import settings
from django.core.signing import BadSignature, Signer

from shop.errors import OrderNotFound
from shop.models import Order
from shop.money import ZERO
from shop.states import OrderStatus

_SIGNER = "shop.paylinks"


class PaymentState(StrEnum):
    """Where an order that awaits its payment stands."""

    PAYABLE = "payable"
    # The buyer came back from the cashier, and the gateway hasn't yet said whether they paid.
    CONFIRMING = "confirming"
    # The shown deadline is over; what was paid in the last moment may still come.
    OVERDUE = "overdue"
    CANCELLING = "cancelling"


def is_payable(order: Order, *, now: datetime) -> bool:
    """Whether the buyer is shown a link to pay the order."""
    return payment_state(order, now=now) is PaymentState.PAYABLE and order.cash_due > ZERO


def payment_state(order: Order, *, now: datetime) -> PaymentState | None:
    """Where the order stands while it awaits its payment; None before and after."""
    if order.status != OrderStatus.AWAITING_PAYMENT:
        return None
    if order.cancel_requested_at is not None:
        return PaymentState.CANCELLING
    if order.confirming_since is not None:
        return PaymentState.CONFIRMING
    return PaymentState.PAYABLE if order.expires_at > now else PaymentState.OVERDUE


def pay_url(order_number: str) -> str:
    """The link for an order. Whoever has it may pay the order, and do nothing else with it."""
    return f"{settings.PUBLIC_URL}/pay/{Signer(salt=_SIGNER).sign(order_number)}/"


def read_pay_token(token: str) -> str:
    """The order number of a link's last part.

    Raises:
        OrderNotFound: we didn't sign it.
    """
    try:
        return Signer(salt=_SIGNER).unsign(token)
    except BadSignature as error:
        raise OrderNotFound from error
