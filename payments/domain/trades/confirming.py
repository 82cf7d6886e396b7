"""Whether a buyer has already paid, when only the gateway knows: after their return from its cashier, and
before they are sent there again.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import F, Q

from payments.domain.trades import settlement
from payments.errors import PaymentConfirming
from payments.gateways.protocol import GatewayError, Gateways, TradeReport
from payments.models import Payment
from payments.states import PaymentStatus, Product
from shop.domain import sql
from shop.domain.polling.answer_cache import mark_changed
from shop.models import Order
from shop.states import OrderStatus

# Attempts that the gateway may still take money for: open ones, and closed ones that are to be asked about
# once more.
_MAY_BE_PAID = Q(status=PaymentStatus.OPEN) | Q(status=PaymentStatus.CLOSED, available_at__isnull=False)
# Two ways to the same cashier. Until the buyer shows up there the gateway knows no trade, and both are
# equivalent.
_CASHIERS = frozenset({Product.PAGE, Product.WAP})


def note_return(payment: Payment, *, now: datetime) -> None:
    """Notes that the buyer came back from the cashier: the payment is queried at once, and until the answer
    nobody is asked to pay the order.
    """
    due = Payment.objects.filter(_MAY_BE_PAID, pk=payment.pk)
    due.update(buyer_seen_at=now)
    due.filter(available_at__gt=now).update(available_at=now)
    if not due.exists():
        return
    noted = Order.objects.filter(
        pk=payment.order_id, status=OrderStatus.AWAITING_PAYMENT, confirming_since=None
    ).update(confirming_since=now, version=F("version") + 1)
    if noted:
        mark_changed([payment.order.order_number])


_ANSWERED = sql.statement(
    """
    UPDATE shop_order SET confirming_since = NULL, version = version + 1
    WHERE id = ANY(%s) AND status = {OrderStatus.AWAITING_PAYMENT} AND confirming_since <= %s
    RETURNING order_number
""",
    OrderStatus,
)


def note_answers(order_ids: Collection[int], *, asked_at: datetime) -> None:
    """Notes that the gateway has answered queries of `asked_at`.

    Orders that still await payment weren't paid, and can be.
    """
    mark_changed([number for (number,) in sql.read(_ANSWERED, [sorted(order_ids), asked_at])])


def ask_before_paying(*, order: Order, gateways: Gateways, now: datetime, cause: str) -> TradeReport | None:
    """Asks about the order's earlier attempt, if there is one, and applies the answer.

    A paid order is never sent to the cashier again.

    Returns what the gateway says of the open attempt; None when there is none or when no buyer has shown up
    for it.

    Raises:
        PaymentConfirming: the gateway doesn't answer; nothing has changed.
    """
    if order.status != OrderStatus.AWAITING_PAYMENT:
        return None
    current = None
    attempts = list(Payment.objects.filter(_MAY_BE_PAID, order=order).order_by("id"))
    for payment in attempts:
        try:
            report = gateways.gateway_for(payment).query(payment.out_trade_no)
        except GatewayError as error:
            raise PaymentConfirming from error
        if report is not None:
            with transaction.atomic(durable=True):
                settlement.apply_trades([report], now=now, cause=cause)
        if payment.status == PaymentStatus.OPEN:
            current = report
    if attempts:
        note_answers([order.pk], asked_at=now)
    return current


def find_other_attempt(*, order: Order, product: Product, report: TradeReport | None) -> Payment | None:
    """The open attempt that `product` would end although somebody may be using it; None when nothing stands
    in the way.

    `report` is what the gateway says of the open attempt. One for the other cashier that nobody has come to
    yet is simply led to this one.
    """
    payment = Payment.objects.filter(order=order, status=PaymentStatus.OPEN).exclude(product=product).first()
    if payment is None:
        return None
    is_free = report is None and {product, Product(payment.product)} <= _CASHIERS
    return None if is_free else payment
