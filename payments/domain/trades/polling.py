"""Queries about trades that no notification came for, or whose notification contradicted our rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from django.conf import settings
from django.db import transaction

from payments.domain.calling import Callers, Errand, run
from payments.domain.locks import lock_attempts, lock_payment
from payments.domain.trades import confirming, expiry, inbox, settlement
from payments.domain.trades.expiry import Ended
from payments.domain.trades.outcomes import Outcome
from payments.domain.trades.unpaid_attempts import is_unpaid, last_look_at
from payments.errors import OrderNotPayable
from payments.gateways.protocol import Gateways, TradeReport
from payments.models import Payment, Refund
from payments.states import REFUNDS_UNDER_WAY, ClosedReason, PaymentStatus, RefundStatus
from shop.domain import sql
from shop.domain.locks import lock_order
from shop.domain.orders.timeline import by_staff, event, record
from shop.domain.polling import presence
from shop.domain.work import due_rows
from shop.models import Account, Order, OrderEvent
from shop.states import OrderStatus

# A payment is queried at each of this many intervals after its buyer was last seen; after that, each wait is
# as long as the buyer has been away.
STEADY_INTERVALS = 3


class _Deed(Enum):
    """What is done about a payment that is due."""

    QUERY = auto()
    # It isn't open: it was closed before the gateway knew of it, or a notification would have surprised.
    LOOK = auto()
    # Its order is over: it must not be paid any more.
    END = auto()


@dataclass(frozen=True, slots=True)
class _Inquiry:
    payment: Payment
    deed: _Deed

    @property
    def row_id(self) -> int:
        return self.payment.pk

    @property
    def trace_id(self) -> str:
        return self.payment.order.trace_id


def query_due_payments(
    *, gateways: Gateways, now: datetime, cause: str, callers: Callers | None = None
) -> int:
    """Claims and queries due payments; returns how many it claimed."""
    errand = Errand(
        Payment,
        _read_inquiries,
        lambda inquiry: _ask(inquiry, gateways=gateways, now=now),
        lambda answers: _apply(answers, now=now, cause=cause),
    )
    return run(errand, gateways=gateways, now=now, callers=callers)


def query_payment(payment_id: int, *, gateways: Gateways, now: datetime, cause: str) -> None:
    """Asks about one payment, outside any transaction, and applies the answer in one.

    An open one whose order is over is closed there.

    Raises:
        GatewayUnreachable, GatewayRejected, GatewayNotConfigured: nothing has changed.
    """
    answers = [
        (inquiry, _ask(inquiry, gateways=gateways, now=now)) for inquiry in _read_inquiries([payment_id])
    ]
    _apply(answers, now=now, cause=cause)


def next_query_at(payment: Payment, *, now: datetime) -> datetime:
    """When to query an open, unpaid payment again.

    Most buyers pay within minutes of going to the cashier, or come back. The longer nobody was seen, the less
    there is to learn.
    """
    interval = timedelta(seconds=settings.PAYMENT_QUERY_INTERVAL_S)
    away = now - payment.buyer_seen_at
    return now + (interval if away <= STEADY_INTERVALS * interval else away)


_HASTEN = sql.statement(
    """
    UPDATE payments_payment AS payment
    SET buyer_seen_at = %(now)s, available_at = CASE
        WHEN payment.attempts > 0 THEN payment.available_at
        ELSE least(payment.available_at, greatest(%(now)s, payment.asked_at + %(interval)s))
    END
    FROM shop_order AS orders
    WHERE orders.id = payment.order_id AND orders.order_number = ANY(%(numbers)s)
        AND orders.status = {OrderStatus.AWAITING_PAYMENT}
        AND payment.status = {PaymentStatus.OPEN} AND payment.available_at IS NOT NULL
        AND payment.asked_at IS NOT NULL
""",
    OrderStatus,
    PaymentStatus,
)


def hasten_watched_payments(*, now: datetime) -> int:
    """Buyers who look at their order are there: what they may just have paid is queried an interval after it
    was last. Returns how many.

    Not before its first query, which comes soon enough.
    """
    numbers = presence.take_watched()
    if not numbers:
        return 0
    interval = timedelta(seconds=settings.PAYMENT_QUERY_INTERVAL_S)
    return sql.write(_HASTEN, {"now": now, "interval": interval, "numbers": numbers})


def ask_about_payment(
    payment_id: int, *, now: datetime, staff: Account | None = None, why: str = "", cause: str = ""
) -> None:
    """Makes the payment due for a query at once, whatever our rows say of it, even one that was given up.

    Raises:
        NotFound: no such payment.
    """
    with transaction.atomic(durable=True):
        payment = lock_payment(payment_id)
        settlement.ask_again(payment, at=now)
        _tell_asked(payment.order, staff, why, now=now, cause=cause)


def ask_about_order(order_id: int, *, staff: Account, why: str, now: datetime, cause: str) -> int:
    """Makes every payment of the order due for a query at once, and every refund of it that the gateway may
    know of; returns how many.

    Raises:
        OrderNotFound
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
    """Leaves the payments that the gateway wouldn't tell about to people; a notification still settles them.

    Returns how many.
    """
    buried = due_rows.bury_exhausted(Payment, now=now)
    for payment_id in buried:
        inbox.quarantine_asked(payment_id, Outcome.CONTRADICTED, now=now)
    return len(buried)


def _read_inquiries(payment_ids: Sequence[int]) -> list[_Inquiry]:
    found = Payment.objects.filter(pk__in=payment_ids).select_related("order").order_by("pk")
    inquiries = [(payment, _deed_about(payment)) for payment in found]
    return [_Inquiry(payment, deed) for payment, deed in inquiries if deed is not None]


def _deed_about(payment: Payment) -> _Deed | None:
    if payment.status != PaymentStatus.OPEN:
        return None if payment.available_at is None else _Deed.LOOK
    return _Deed.QUERY if payment.order.status == OrderStatus.AWAITING_PAYMENT else _Deed.END


def _ask(inquiry: _Inquiry, *, gateways: Gateways, now: datetime) -> Ended:
    payment = inquiry.payment
    if inquiry.deed is _Deed.END:
        return expiry.end_at_gateway(payment, gateways=gateways, now=now)
    gateway = gateways.gateway_for(payment)
    report = gateway.query(payment.out_trade_no)
    is_closed = inquiry.deed is _Deed.LOOK and payment.status == PaymentStatus.CLOSED
    if is_closed and report is not None and is_unpaid(report):
        gateway.close(payment.out_trade_no)
        report = gateway.query(payment.out_trade_no)
    return Ended(report)


def _apply(answers: Sequence[tuple[_Inquiry, Ended]], *, now: datetime, cause: str) -> None:
    """Applies answers, and answers with them the notifications that had waited."""
    if not answers:
        return
    ends = [(inquiry.payment, ended) for inquiry, ended in answers if inquiry.deed is _Deed.END]
    told = [(inquiry, ended.report) for inquiry, ended in answers if inquiry.deed is not _Deed.END]
    with transaction.atomic(durable=True):
        # All of them first, so that rows are locked in one order whatever the answers come to.
        lock_attempts([inquiry.payment.out_trade_no for inquiry, _ in answers])
        if ends:
            expiry.apply_ends(ends, now=now, cause=cause)
        if told:
            _apply_reports(told, now=now, cause=cause)


# Before the answers are applied, which may want another look sooner or later. An answer is no failure: the
# count starts at zero.
_ASK_NEXT = """
    UPDATE payments_payment AS payment
        SET available_at = told.next_at, asked_at = %s, attempts = 0, dead_at = NULL
    FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) AS told(id, status, next_at)
    WHERE payment.id = told.id AND payment.status = told.status
"""


def _apply_reports(told: Sequence[tuple[_Inquiry, TradeReport | None]], *, now: datetime, cause: str) -> None:
    payments = [inquiry.payment for inquiry, _ in told]
    times = [_next_look_at(inquiry, now=now) for inquiry, _ in told]
    sql.write(
        _ASK_NEXT,
        [now, [payment.pk for payment in payments], [payment.status for payment in payments], times],
    )
    known = [(inquiry.row_id, report) for inquiry, report in told if report is not None]
    applied = settlement.apply_trades([report for _, report in known], now=now, cause=cause) if known else []
    by_payment = dict(zip([pk for pk, _ in known], applied, strict=True))
    inbox.answer_asked({payment.pk: by_payment.get(payment.pk) for payment in payments}, now=now)
    confirming.note_answers({payment.order_id for payment in payments}, asked_at=now)


def _next_look_at(inquiry: _Inquiry, *, now: datetime) -> datetime | None:
    """While the gateway says that nothing was paid, an open attempt is asked about again and again; its
    order's own end closes it.
    """
    payment = inquiry.payment
    if inquiry.deed is _Deed.QUERY:
        return next_query_at(payment, now=now)
    can_still_be_paid = payment.closed_reason == ClosedReason.NEVER_PAID and now < payment.expires_at
    return last_look_at(payment) if can_still_be_paid else None
