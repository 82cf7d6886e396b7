"""Closes orders that have expired or that their buyer cancels. Nothing is released while Alipay can still
take money for them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from payments.domain.calling import Callers, Errand, run
from payments.domain.locks import lock_attempts
from payments.domain.trades import inbox, settlement
from payments.domain.trades.unpaid_attempts import close_payments, is_unpaid, last_look_at
from payments.gateways.protocol import GatewayRejected, Gateways, GatewayUnreachable, TradeReport
from payments.models import Payment
from payments.states import PaymentStatus
from shop.domain.locks import lock_orders
from shop.domain.orders import closing
from shop.domain.work import due_rows
from shop.models import Order
from shop.states import OrderStatus


@dataclass(frozen=True, slots=True)
class Ended:
    """How an open attempt has ended at the gateway.

    Without a report it can't be paid any more, or nobody has shown up for it.

    `is_unseen`: the gateway doesn't know the trade, and its own end lies ahead; its buyer may still come and
    pay.
    """

    report: TradeReport | None
    is_unseen: bool = False


@dataclass(frozen=True, slots=True)
class _Closing:
    """An order to close, with its open attempts."""

    order_id: int
    attempts: Sequence[Payment]

    @property
    def row_id(self) -> int:
        return self.order_id

    @property
    def trace_id(self) -> str:
        return self.attempts[0].order.trace_id


_Ends = Sequence[tuple[Payment, Ended]]


def close_due_orders(
    *, gateways: Gateways | None, now: datetime, cause: str, callers: Callers | None = None
) -> int:
    """Claims and closes due orders; returns how many it claimed."""

    def prepare(order_ids: Sequence[int]) -> list[_Closing]:
        closings = _read_closings(order_ids)
        # An order that nobody has begun to pay doesn't wait for the gateway.
        _close([closing for closing in closings if not closing.attempts], [], now=now, cause=cause)
        return [closing for closing in closings if closing.attempts]

    def settle(answers: Sequence[tuple[_Closing, _Ends]]) -> None:
        still_open = _close(
            [closing for closing, _ in answers],
            [end for _, ends in answers for end in ends],
            now=now,
            cause=cause,
        )
        for order_id in still_open:
            due_rows.put_back(Order, order_id, now=now, error=_still_open())

    errand = Errand(Order, prepare, lambda closing: _end_all(closing, gateways=gateways, now=now), settle)
    return run(errand, gateways=gateways, now=now, callers=callers)


def close_due_order(order_id: int, *, gateways: Gateways | None, now: datetime, cause: str) -> None:
    """Settles the order if its money has come after all, else closes it and releases its coupons and 贝里.

    Raises:
        GatewayUnreachable: whether money came is unknown; the order waits, with everything it holds.
    """
    for closing_ in _read_closings([order_id]):
        if _close([closing_], _end_all(closing_, gateways=gateways, now=now), now=now, cause=cause):
            raise _still_open()


def settle_or_close(payment: Payment, *, gateways: Gateways, now: datetime, cause: str) -> None:
    """Ends an open attempt for good: query, close, and query once more if the buyer was faster.

    Network first, one transaction last.

    A trade that Alipay doesn't know yet can't be closed there. Its `time_expire` ends it, and money that
    comes until then is late money: the poller queries it once more after that end, in case its notification
    is lost.

    Raises:
        GatewayUnreachable, GatewayRejected, GatewayNotConfigured: its end is not known; it stays open.
    """
    ended = end_at_gateway(payment, gateways=gateways, now=now)
    with transaction.atomic(durable=True):
        apply_ends([(payment, ended)], now=now, cause=cause)


def end_at_gateway(payment: Payment, *, gateways: Gateways, now: datetime) -> Ended:
    """The calls of `settle_or_close`. Uses no database.

    Raises:
        GatewayUnreachable, GatewayRejected, GatewayNotConfigured: its end is not known.
    """
    gateway = gateways.gateway_for(payment)
    report = gateway.query(payment.out_trade_no)
    if report is None:
        return Ended(None, is_unseen=now < payment.expires_at)
    if not is_unpaid(report):
        return Ended(report)
    try:
        gateway.close(payment.out_trade_no)
    except GatewayRejected:
        # Paid or closed in between.
        report = gateway.query(payment.out_trade_no)
        if report is not None and is_unpaid(report):
            raise GatewayUnreachable("the trade is neither paid nor to be closed") from None
        return Ended(report)
    return Ended(None)


def apply_ends(ends: _Ends, *, now: datetime, cause: str) -> None:
    """Settles or closes attempts as they have ended at the gateway, in the caller's transaction."""
    locked = lock_attempts([payment.out_trade_no for payment, _ in ends])
    paid = [(payment.pk, ended.report) for payment, ended in ends if ended.report is not None]
    applied = settlement.apply_trades([report for _, report in paid], now=now, cause=cause) if paid else []
    looks: dict[Payment, datetime | None] = {}
    for payment, ended in ends:
        mine = locked[payment.out_trade_no]
        if ended.report is None and mine.status == PaymentStatus.OPEN:
            looks[mine] = last_look_at(payment) if ended.is_unseen else None
    close_payments(looks, now=now, cause=cause)
    told = dict(zip([pk for pk, _ in paid], applied, strict=True))
    inbox.answer_asked({payment.pk: told.get(payment.pk) for payment, _ in ends}, now=now)


def give_up_orders(*, now: datetime) -> int:
    """Hands orders that couldn't be closed to people, with everything that they hold. Returns how many."""
    return len(due_rows.bury_exhausted(Order, now=now))


def _still_open() -> GatewayUnreachable:
    return GatewayUnreachable("an attempt is still open: its trade is neither settled nor closed")


def _read_closings(order_ids: Collection[int]) -> list[_Closing]:
    attempts: dict[int, list[Payment]] = {pk: [] for pk in sorted(order_ids)}
    for payment in (
        Payment.objects.filter(order__in=order_ids, status=PaymentStatus.OPEN)
        .select_related("order")
        .order_by("pk")
    ):
        attempts[payment.order_id].append(payment)
    return [_Closing(pk, found) for pk, found in attempts.items()]


def _end_all(closing_: _Closing, *, gateways: Gateways | None, now: datetime) -> _Ends:
    if closing_.attempts and gateways is None:
        raise GatewayUnreachable("the gateway isn't configured")
    return [
        (payment, end_at_gateway(payment, gateways=gateways, now=now))
        for payment in closing_.attempts
        if gateways is not None
    ]


def _close(closings: Sequence[_Closing], ends: _Ends, *, now: datetime, cause: str) -> list[int]:
    """Applies the attempts' ends and closes their orders, where no money came, in one transaction; returns
    those it must leave open.
    """
    if not closings:
        return []
    with transaction.atomic(durable=True):
        # All of them first, so that accounts and orders are locked in one order whatever their attempts come
        # to.
        ids = [order.pk for order in lock_orders([closing_.order_id for closing_ in closings])]
        if ends:
            apply_ends(ends, now=now, cause=cause)
        waiting = {
            order.pk: order for order in Order.objects.filter(pk__in=ids, status=OrderStatus.AWAITING_PAYMENT)
        }
        Order.objects.filter(pk__in=set(ids) - set(waiting)).update(available_at=None)
        still_open = sorted(
            set(
                Payment.objects.filter(order__in=waiting, status=PaymentStatus.OPEN).values_list(
                    "order_id", flat=True
                )
            )
        )
        closing.close_orders(
            [order for pk, order in sorted(waiting.items()) if pk not in still_open], now=now, cause=cause
        )
    return still_open
