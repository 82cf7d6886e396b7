"""Payment attempts that end unpaid."""

from collections.abc import Mapping
from datetime import datetime

from payments.gateways.protocol import TradeReport, TradeStatus
from payments.models import Payment
from payments.states import ClosedReason, PaymentStatus
from shop.domain import sql
from shop.domain.orders.timeline import event, record
from shop.errors import StaleState
from shop.models import OrderEvent


def is_unpaid(report: TradeReport) -> bool:
    """Whether a trade waits for its buyer, so that it can still be paid or closed."""
    return report.status is TradeStatus.WAITING


_CLOSE = sql.statement(
    """
    UPDATE payments_payment AS payment
    SET status = {PaymentStatus.CLOSED}, closed_reason = {ClosedReason.NEVER_PAID}, closed_at = %s,
    available_at = told.look_at, attempts = 0, dead_at = NULL
    FROM unnest(%s::bigint[], %s::timestamptz[]) AS told(id, look_at) WHERE payment.id = told.id
        AND payment.status = {PaymentStatus.OPEN}
""",
    ClosedReason,
    PaymentStatus,
)
# A closed trade is an answer too: nothing is left to be confirmed.
_NOTHING_TO_CONFIRM = (
    "UPDATE shop_order SET confirming_since = NULL WHERE id = ANY(%s) AND confirming_since IS NOT NULL"
)


def close_payments(looks: Mapping[Payment, datetime | None], *, now: datetime, cause: str) -> None:
    """Marks open attempts closed as never paid, in the caller's transaction, which holds their orders' locks
    and their own.

    Each comes with the time to ask the gateway once more, for an attempt that its buyer can still pay there;
    None for no more.

    Raises:
        StaleState: one isn't open.
    """
    if not looks:
        return
    if sql.write(_CLOSE, [now, [payment.pk for payment in looks], list(looks.values())]) != len(looks):
        raise StaleState(f"one of the payments {[payment.out_trade_no for payment in looks]} isn't open")
    for payment in looks:
        payment.status, payment.closed_reason = PaymentStatus.CLOSED, ClosedReason.NEVER_PAID
    record(
        [
            event(
                payment.order,
                OrderEvent.Kind.PAYMENT_CLOSED,
                now=now,
                cause=cause,
                out_trade_no=payment.out_trade_no,
            )
            for payment in looks
        ]
    )
    sql.write(_NOTHING_TO_CONFIRM, [[payment.order_id for payment in looks]])


def last_look_at(payment: Payment) -> datetime:
    """When to ask about a closed attempt that could still be paid: after its own end at the gateway, so never
    in the past.
    """
    return max(payment.expires_at, payment.order.closes_at)
