"""What the gateway says of trades, applied: the one routine for it, whether a notification, a query or a bill said it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog
from django.db.models import F

from payments.domain import refunds
from payments.gateways.protocol import TradeReport, TradeStatus
from payments.models import Payment
from payments.states import PaymentStatus
from shop.domain import ledger, rows
from shop.domain.closing import reopen_order
from shop.domain.fulfilment import finalise_orders
from shop.domain.timeline import event, record
from shop.errors import StaleState
from shop.models import Order, OrderEvent
from shop.states import OrderStatus

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """What became of a report."""

    SETTLED = "settled"
    # Money for an order that had expired: its coupons and 贝里 could be taken again.
    REOPENED = "reopened"
    # Money for an order that couldn't take it: it is refunded.
    LATE = "late"
    DOUBLE = "double"
    CLOSED = "closed"
    # Nothing to do.
    WAITING = "waiting"
    ALREADY_APPLIED = "already_applied"
    # People have to look.
    UNKNOWN_TRADE = "unknown_trade"
    WRONG_APP = "wrong_app"
    WRONG_SELLER = "wrong_seller"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_TRADE_NO = "wrong_trade_no"
    REFUNDED_ELSEWHERE = "refunded_elsewhere"


APPLIED = frozenset({Outcome.SETTLED, Outcome.REOPENED, Outcome.LATE, Outcome.DOUBLE, Outcome.CLOSED})
IGNORED = frozenset({Outcome.WAITING, Outcome.ALREADY_APPLIED})
QUARANTINED = frozenset(Outcome) - APPLIED - IGNORED
# What happens to nearly every trade: counted in the log, not told one by one. Each payment's row and its order's timeline say the rest.
_ORDINARY = frozenset({Outcome.SETTLED, *IGNORED})


@dataclass(frozen=True, slots=True)
class Applied:
    """A report's outcome, with the payment that it is about, if it is one of ours."""

    outcome: Outcome
    payment: Payment | None


def apply_trades(reports: Sequence[TradeReport], *, now: datetime, cause: str) -> list[Applied]:
    """Applies reports, in their order, in the caller's transaction; answers one outcome for each.

    A paid trade pays its payment and finalises its order, once; the money must come from the app, go to the seller and be the amount
    that were frozen when the attempt was made. Money that the order can't take is booked and a refund of it ordered, in the same
    transaction. States never move backwards, whatever comes late or twice.
    """
    payments = _lock([report.out_trade_no for report in reports])
    owners = dict(rows.read(_OWNERS, [[report.trade_no for report in reports]]))
    settled: list[Payment] = []
    results = []
    for report in reports:
        payment = payments.get(report.out_trade_no)
        outcome = _decide(report, payment)
        if payment is not None and outcome is Outcome.SETTLED and owners.setdefault(report.trade_no, payment.pk) != payment.pk:
            outcome = Outcome.WRONG_TRADE_NO  # one trade can't pay twice
        if payment is not None and outcome in APPLIED:
            if outcome is not Outcome.SETTLED or payment.order.status != OrderStatus.AWAITING_PAYMENT:
                # Written at once, so what came before it has to stand there.
                _settle(settled, now=now, cause=cause)
                settled = []
            outcome = _apply(outcome, payment, report, now=now, cause=cause)
            if outcome is Outcome.SETTLED:
                settled.append(payment)
        results.append(Applied(outcome, payment))
    _settle(settled, now=now, cause=cause)
    _log(reports, results, cause=cause)
    return results


def is_unpaid(report: TradeReport) -> bool:
    """Whether a trade waits for its buyer, so that it can still be paid or closed."""
    return report.status is TradeStatus.WAITING


def close_payment(payment: Payment, *, now: datetime, cause: str, look_again_at: datetime | None = None) -> None:
    """Marks an open attempt closed, in the caller's transaction, which holds its order's lock and its own.

    `look_again_at`: when to ask the gateway once more, for what the buyer holds can still be paid there.
    """
    payment.status, payment.closed_at, payment.available_at = PaymentStatus.CLOSED, now, look_again_at
    payment.attempts, payment.dead_at = 0, None
    payment.save(update_fields=["status", "closed_at", "available_at", "attempts", "dead_at"])
    record([event(payment.order, OrderEvent.Kind.PAYMENT_CLOSED, now=now, cause=cause, out_trade_no=payment.out_trade_no)])
    # A closed trade is an answer too: nothing is left to be confirmed.
    Order.objects.filter(pk=payment.order_id).update(version=F("version") + 1, confirming_since=None)


def _apply(outcome: Outcome, payment: Payment, report: TradeReport, *, now: datetime, cause: str) -> Outcome:
    if outcome is Outcome.CLOSED:
        close_payment(payment, now=now, cause=cause)
        return outcome
    return _take_money(payment, report, now=now, cause=cause)


def _take_money(payment: Payment, report: TradeReport, *, now: datetime, cause: str) -> Outcome:
    """Finds out what money that has come in is for, and books it at once where it isn't simply its order's: those are written together."""
    order = payment.order
    outcome = _outcome_of_money(order, now=now, cause=cause)
    payment.status, payment.trade_no, payment.paid_at = PaymentStatus.PAID, report.trade_no, report.paid_at or now
    payment.is_surplus = outcome in {Outcome.LATE, Outcome.DOUBLE}
    if outcome is Outcome.SETTLED:
        order.status = OrderStatus.PAID  # the row is written with its batch; this object is what the next report looks at
        return outcome
    _book([payment], now=now)
    if payment.is_surplus:
        kind = OrderEvent.Kind.LATE_PAYMENT if outcome is Outcome.LATE else OrderEvent.Kind.DOUBLE_PAYMENT
        record([event(order, kind, now=now, cause=cause, out_trade_no=payment.out_trade_no, amount=str(payment.amount))])
        Order.objects.filter(pk=order.pk).update(version=F("version") + 1)
        refunds.order_surplus_refund(payment, now=now, cause=cause)
    else:
        _drop_other_attempts([payment], now=now)
    return outcome


def _settle(payments: Sequence[Payment], *, now: datetime, cause: str) -> None:
    """Writes the payments that simply paid their orders, and finalises these."""
    if not payments:
        return
    _book(payments, now=now)
    _drop_other_attempts(payments, now=now)
    finalise_orders([payment.order for payment in payments], now=now, cause=cause)


_PAY = """
    UPDATE payments_payment AS payment
    SET status = 'paid', trade_no = told.trade_no, paid_at = told.paid_at, available_at = NULL, dead_at = NULL, is_surplus = told.is_surplus
    FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::boolean[]) AS told(id, trade_no, paid_at, is_surplus)
    WHERE payment.id = told.id AND payment.status <> 'paid'
"""


def _book(payments: Sequence[Payment], *, now: datetime) -> None:
    told = [(payment.pk, payment.trade_no, payment.paid_at, payment.is_surplus) for payment in payments]
    if rows.write(_PAY, [list(column) for column in zip(*told, strict=True)]) != len(payments):
        raise StaleState(f"one of the payments {[payment.out_trade_no for payment in payments]} is paid already")
    ledger.cash_in([(payment.out_trade_no, payment.amount, payment.order_id) for payment in payments], now=now)


_DROP_OTHERS = "UPDATE payments_payment SET available_at = %s, attempts = 0, dead_at = NULL WHERE order_id = ANY(%s) AND status = 'open'"


def _drop_other_attempts(payments: Sequence[Payment], *, now: datetime) -> None:
    """Another attempt that is still open is no longer wanted: the poller closes it at the gateway."""
    rows.write(_DROP_OTHERS, [now, [payment.order_id for payment in payments]])


def _outcome_of_money(order: Order, *, now: datetime, cause: str) -> Outcome:
    match OrderStatus(order.status):
        case OrderStatus.AWAITING_PAYMENT:
            return Outcome.SETTLED
        case OrderStatus.EXPIRED:
            return Outcome.REOPENED if reopen_order(order, now=now, cause=cause) else Outcome.LATE
        case OrderStatus.CANCELLED:
            return Outcome.LATE
        case OrderStatus.PAID | OrderStatus.REFUNDED:
            return Outcome.DOUBLE


_CONCERNED = """
    SELECT payment.id, orders.id, orders.account_id FROM payments_payment AS payment JOIN shop_order AS orders ON orders.id = payment.order_id
    WHERE payment.out_trade_no = ANY(%s)
"""
_LOCK_ACCOUNTS = "SELECT id FROM shop_account WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_LOCK_ORDERS = "SELECT id, account_id, order_number, status, beili FROM shop_order WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_LOCK_PAYMENTS = """
    SELECT id, order_id, out_trade_no, amount, app_id, seller_id, status, trade_no, refund_committed FROM payments_payment
    WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE
"""
_OWNERS = "SELECT trade_no, id FROM payments_payment WHERE trade_no = ANY(%s)"


def _lock(out_trade_nos: list[str]) -> Mapping[str, Payment]:
    """The payments by `out_trade_no`, with their accounts, orders and themselves locked, in that order and each by id.

    Payments and orders know the columns that ordinary reports need; any other is read when a rare one asks for it.
    """
    concerned = rows.read(_CONCERNED, [out_trade_nos])
    if not concerned:
        return {}
    payment_ids, order_ids, account_ids = (list(ids) for ids in zip(*concerned, strict=True))
    rows.read(_LOCK_ACCOUNTS, [account_ids])
    orders = {pk: rows.made(Order, id=pk, **dict(zip(_ORDER, values, strict=True))) for pk, *values in rows.read(_LOCK_ORDERS, [order_ids])}
    payments = {}
    for pk, *values in rows.read(_LOCK_PAYMENTS, [payment_ids]):
        payment = rows.made(Payment, id=pk, **dict(zip(_PAYMENT, values, strict=True)))
        payment.order = orders[payment.order_id]  # one object per order, so that a second payment in the batch sees the first
        payments[payment.out_trade_no] = payment
    return payments


_ORDER = ("account_id", "order_number", "status", "beili")
_PAYMENT = ("order_id", "out_trade_no", "amount", "app_id", "seller_id", "status", "trade_no", "refund_committed")


def _decide(report: TradeReport, payment: Payment | None) -> Outcome:
    if payment is None:
        return Outcome.UNKNOWN_TRADE
    if report.app_id != payment.app_id:
        return Outcome.WRONG_APP
    if report.seller_id is not None and report.seller_id != payment.seller_id:
        return Outcome.WRONG_SELLER
    if report.total_amount != payment.amount:
        return Outcome.WRONG_AMOUNT
    if payment.trade_no is not None and report.trade_no != payment.trade_no:
        return Outcome.WRONG_TRADE_NO
    return _decide_by_status(report, payment)


def _decide_by_status(report: TradeReport, payment: Payment) -> Outcome:
    match report.status:
        case TradeStatus.WAITING:
            return Outcome.WAITING
        case TradeStatus.CLOSED:
            return _decide_closed(report, payment)
        case TradeStatus.SUCCESS | TradeStatus.FINISHED:
            return _decide_paid(report, payment)


def _decide_closed(report: TradeReport, payment: Payment) -> Outcome:
    if payment.status == PaymentStatus.PAID:
        # Alipay closes a trade that is refunded in full, and tells it like a trade that was never paid. It takes nothing back by itself.
        return _decide_refunded(report, payment)
    if report.refunded > 0 and report.refunded != payment.amount:
        return Outcome.REFUNDED_ELSEWHERE
    # Never paid; or paid and refunded whole before we heard of it, which leaves nobody owing anything.
    return Outcome.CLOSED if payment.status == PaymentStatus.OPEN else Outcome.ALREADY_APPLIED


def _decide_paid(report: TradeReport, payment: Payment) -> Outcome:
    if payment.status == PaymentStatus.PAID:
        return _decide_refunded(report, payment)
    # A partial refund is told like a payment. Of a payment that we never heard of, people have to make sense.
    return Outcome.REFUNDED_ELSEWHERE if report.refunded else Outcome.SETTLED


def _decide_refunded(report: TradeReport, payment: Payment) -> Outcome:
    """A repeat, or the notice of a refund: ours, unless more has gone back than we ordered."""
    return Outcome.REFUNDED_ELSEWHERE if report.refunded > payment.refund_committed else Outcome.ALREADY_APPLIED


def _log(reports: Sequence[TradeReport], results: Sequence[Applied], *, cause: str) -> None:
    log.info("trades_applied", cause=cause, **Counter(result.outcome.value for result in results))
    for report, result in zip(reports, results, strict=True):
        if result.outcome in QUARANTINED:
            log.error("trade_quarantined", out_trade_no=report.out_trade_no, outcome=result.outcome.value, alert=True)
        elif result.outcome not in _ORDINARY:
            log.info("trade_applied", out_trade_no=report.out_trade_no, outcome=result.outcome.value)
