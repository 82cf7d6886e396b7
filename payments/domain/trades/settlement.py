"""Applies what the gateway says of trades: one routine for every source, be it a notification, a query or a
bill.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from payments.domain.locks import lock_attempts
from payments.domain.refunds.external import Noted, book_whole, note_refunds
from payments.domain.refunds.surplus import order_surplus_refund
from payments.domain.trades.outcomes import APPLIED, IGNORED, QUARANTINED, Outcome, decide
from payments.domain.trades.unpaid_attempts import close_payments
from payments.gateways.protocol import TradeReport
from payments.models import Notification, Payment
from payments.states import ClosedReason, NotificationStatus, PaymentStatus
from shop.domain import ledger, sql
from shop.domain.orders.closing import reopen_order
from shop.domain.orders.fulfilment import finalise_orders
from shop.domain.orders.timeline import event, record
from shop.errors import StaleState
from shop.models import Order, OrderEvent
from shop.states import OrderStatus
from shop.tracing import batch_did

log = structlog.get_logger(__name__)


_DEEDS = APPLIED | {Outcome.ASKED}
# What happens to nearly every trade: counted in the log, not told one by one. Each payment's row and its
# order's timeline say the rest.
_ORDINARY = frozenset({Outcome.SETTLED, *IGNORED})
# After a trade was found closed while refunds of it are being settled: they take a call or two.
LOOK_AGAIN_AFTER = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Applied:
    """A report's outcome, with the payment that it is about, if it is one of ours."""

    outcome: Outcome
    payment: Payment | None


def apply_trades(reports: Sequence[TradeReport], *, now: datetime, cause: str) -> list[Applied]:
    """Applies reports, in their order, in the caller's transaction; answers one outcome for each.

    A paid trade pays its payment and finalises its order, once; the money must come from the app, go to the
    seller and be the amount that were frozen when the attempt was made. Money that the order can't take is
    booked and a refund of it ordered, in the same transaction. Refunds that we didn't order become rows. A
    report that would surprise is only applied if it is a query's answer; a notification that does makes its
    trade due for a query. States never move backwards, whatever comes late or twice.
    """
    payments = lock_attempts([report.out_trade_no for report in reports])
    owners = dict(sql.read(_OWNERS, [[report.trade_no for report in reports]]))
    is_current = any(report.is_current for report in reports)  # answers come among themselves
    settled: list[Payment] = []
    results = []
    for report in reports:
        payment = payments.get(report.out_trade_no)
        outcome = decide(report, payment)
        if (
            payment is not None
            and outcome is Outcome.SETTLED
            and owners.setdefault(report.trade_no, payment.pk) != payment.pk
        ):
            outcome = Outcome.WRONG_TRADE_NO  # one trade can't pay twice
        if payment is not None and outcome in _DEEDS:
            if outcome is not Outcome.SETTLED or payment.order.status != OrderStatus.AWAITING_PAYMENT:
                # Written at once, so what came before it has to stand there.
                _settle(settled, now=now, cause=cause, is_current=is_current)
                settled = []
            outcome = _apply(outcome, payment, report, now=now, cause=cause)
            if outcome is Outcome.SETTLED:
                settled.append(payment)
        results.append(Applied(outcome, payment))
    _settle(settled, now=now, cause=cause, is_current=is_current)
    for result in results:
        if result.payment is not None and result.outcome is Outcome.ASKED:
            ask_again(result.payment, at=now)  # last, whatever the payment's other reports came to
    _log(reports, results)
    return results


def ask_again(payment: Payment, *, at: datetime) -> None:
    """Makes the trade due for a query at this time, whatever state we believe it in."""
    Payment.objects.filter(pk=payment.pk).update(available_at=at, attempts=0, dead_at=None)


def _apply(outcome: Outcome, payment: Payment, report: TradeReport, *, now: datetime, cause: str) -> Outcome:
    match outcome:
        case Outcome.CLOSED:
            close_payments({payment: now if _is_asked_about(payment) else None}, now=now, cause=cause)
        case Outcome.ASKED:
            note_refunds(payment, report, now=now)
        case Outcome.REFUND_REPORTED:
            return _note_refunds(payment, report, now=now)
        case Outcome.GIVEN_BACK:
            return _give_back(payment, report, now=now, cause=cause)
        case _:
            outcome = _take_money(payment, report, now=now, cause=cause)
            if report.refunded:
                note_refunds(payment, report, now=now)
    return outcome


def _is_asked_about(payment: Payment) -> bool:
    """Whether notifications wait for a query of the payment."""
    return Notification.objects.filter(payment=payment, status=NotificationStatus.ASKED).exists()


def _note_refunds(payment: Payment, report: TradeReport, *, now: datetime) -> Outcome:
    match note_refunds(payment, report, now=now):
        case Noted.NEW:
            return Outcome.REFUND_REPORTED
        case Noted.DIFFERENCE if report.refunded == payment.amount and not report.is_current:
            return Outcome.ASKED  # if all of it is gone, a query proves that
        case Noted.DIFFERENCE:
            return Outcome.REFUNDED_ELSEWHERE
        case _:
            return Outcome.ALREADY_APPLIED


def _give_back(payment: Payment, report: TradeReport, *, now: datetime, cause: str) -> Outcome:
    """A trade that was paid and is closed: all of its money has gone back.

    The order that it was meant for is left as it is.

    It is told again until every refund of it is settled: what is left then has no number of its own.
    """
    if payment.paid_at is not None:
        if Payment.objects.values_list("refunded_amount", flat=True).get(pk=payment.pk) == payment.amount:
            return Outcome.ALREADY_APPLIED
    else:
        payment.trade_no, payment.paid_at = report.trade_no, report.paid_at
        payment.status, payment.closed_reason = PaymentStatus.CLOSED, ClosedReason.GIVEN_BACK
        closed = {
            "status": payment.status,
            "closed_reason": payment.closed_reason,
            "trade_no": payment.trade_no,
            "paid_at": payment.paid_at,
        }
        Payment.objects.filter(pk=payment.pk).update(**closed, closed_at=now, available_at=None, dead_at=None)
        ledger.cash_in([(payment.out_trade_no, payment.amount, payment.order_id)], now=now)
        details = {"out_trade_no": payment.out_trade_no, "amount": str(payment.amount)}
        record([event(payment.order, OrderEvent.Kind.PAYMENT_GIVEN_BACK, now=now, cause=cause, **details)])
    if book_whole(payment, now=now, cause=cause):
        # Once the refunds that we know of are settled, what is left has no number.
        ask_again(payment, at=now + LOOK_AGAIN_AFTER)
    return Outcome.GIVEN_BACK


def _take_money(payment: Payment, report: TradeReport, *, now: datetime, cause: str) -> Outcome:
    """Decides what incoming money is for. Money that simply pays its order is left for `_settle`, which
    writes all of it together; anything else is booked at once.
    """
    order = payment.order
    outcome = _outcome_of_money(order, now=now, cause=cause)
    payment.status, payment.trade_no, payment.paid_at = (
        PaymentStatus.PAID,
        report.trade_no,
        report.paid_at or now,
    )
    payment.is_surplus = outcome in {Outcome.LATE, Outcome.DOUBLE}
    if outcome is Outcome.SETTLED:
        # the row is written with its batch; this object is what the next report looks at
        order.status = OrderStatus.PAID
        return outcome
    _book([payment], now=now, is_current=report.is_current)
    if payment.is_surplus:
        kind = OrderEvent.Kind.LATE_PAYMENT if outcome is Outcome.LATE else OrderEvent.Kind.DOUBLE_PAYMENT
        record(
            [
                event(
                    order,
                    kind,
                    now=now,
                    cause=cause,
                    out_trade_no=payment.out_trade_no,
                    amount=str(payment.amount),
                )
            ]
        )
        order_surplus_refund(payment, now=now, cause=cause)
    else:
        _drop_other_attempts([payment], now=now)
    return outcome


def _settle(payments: Sequence[Payment], *, now: datetime, cause: str, is_current: bool) -> None:
    """Writes the payments that simply paid their orders, and finalises these."""
    if not payments:
        return
    _book(payments, now=now, is_current=is_current)
    _drop_other_attempts(payments, now=now)
    finalise_orders([payment.order for payment in payments], now=now, cause=cause)


_PAY = sql.statement(
    """
    UPDATE payments_payment AS payment
    SET status = {PaymentStatus.PAID}, closed_reason = '', trade_no = told.trade_no, paid_at = told.paid_at,
    dead_at = NULL, is_surplus = told.is_surplus,
        available_at = CASE WHEN EXISTS (
            SELECT FROM payments_notification WHERE payment_id = payment.id
                AND status = {NotificationStatus.ASKED}
        ) THEN %s::timestamptz END
    FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::boolean[]) AS told(id, trade_no, paid_at,
        is_surplus)
    WHERE payment.id = told.id AND payment.status <> {PaymentStatus.PAID}
""",
    NotificationStatus,
    PaymentStatus,
)


def _book(payments: Sequence[Payment], *, now: datetime, is_current: bool) -> None:
    """Writes that their money has come.

    Unless a query's answer says so (`is_current`), a query that other notifications wait for stays due.
    """
    query_at = None if is_current else now
    told = [(payment.pk, payment.trade_no, payment.paid_at, payment.is_surplus) for payment in payments]
    if sql.write(_PAY, [query_at, *[list(column) for column in zip(*told, strict=True)]]) != len(payments):
        raise StaleState(
            f"one of the payments {[payment.out_trade_no for payment in payments]} is paid already"
        )
    ledger.cash_in(
        [(payment.out_trade_no, payment.amount, payment.order_id) for payment in payments], now=now
    )


_DROP_OTHERS = sql.statement(
    "UPDATE payments_payment SET available_at = %s, attempts = 0, dead_at = NULL WHERE order_id = ANY(%s) "
    "AND status = {PaymentStatus.OPEN}",
    PaymentStatus,
)


def _drop_other_attempts(payments: Sequence[Payment], *, now: datetime) -> None:
    """Another attempt that is still open is no longer wanted: the poller closes it at the gateway."""
    sql.write(_DROP_OTHERS, [now, [payment.order_id for payment in payments]])


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


_OWNERS = "SELECT trade_no, id FROM payments_payment WHERE trade_no = ANY(%s)"


def _log(reports: Sequence[TradeReport], results: Sequence[Applied]) -> None:
    traces = [result.payment.order.trace_id for result in results if result.payment is not None]
    batch_did("trades_applied", traces, Counter(result.outcome.value for result in results))
    for report, result in zip(reports, results, strict=True):
        about = {
            "out_trade_no": report.out_trade_no,
            "trace_id": result.payment.order.trace_id if result.payment else "",
        }
        if result.outcome in QUARANTINED:
            log.error("trade_quarantined", **about, outcome=result.outcome.value, alert=True)
        elif result.outcome not in _ORDINARY:
            log.info("trade_applied", **about, outcome=result.outcome.value)
