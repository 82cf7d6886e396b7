"""What the gateway says of trades, applied: the one routine for it, whether a notification, a query or a bill said it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import structlog

from payments.gateways.protocol import TradeReport, TradeStatus
from payments.models import Payment
from payments.states import PaymentStatus
from shop.domain.fulfilment import finalise_orders
from shop.models import Account, Order
from shop.states import OrderStatus

log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """What became of a report."""

    SETTLED = "settled"
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
    ORDER_NOT_AWAITING_PAYMENT = "order_not_awaiting_payment"


APPLIED = frozenset({Outcome.SETTLED, Outcome.CLOSED})
IGNORED = frozenset({Outcome.WAITING, Outcome.ALREADY_APPLIED})
QUARANTINED = frozenset(Outcome) - APPLIED - IGNORED


@dataclass(frozen=True, slots=True)
class Applied:
    """A report's outcome, with the payment that it is about, if it is one of ours."""

    outcome: Outcome
    payment: Payment | None


def apply_trades(reports: Sequence[TradeReport], *, now: datetime, cause: str) -> list[Applied]:
    """Applies reports, in their order, in the caller's transaction; answers one outcome for each.

    A paid trade pays its payment and finalises its order, once; the money must come from the app, go to the seller and be the amount
    that were frozen when the attempt was made. States never move backwards, whatever comes late or twice.
    """
    payments = _lock([report.out_trade_no for report in reports])
    paid: list[Payment] = []
    results = []
    for report in reports:
        payment = payments.get(report.out_trade_no)
        outcome = _decide(report, payment)
        if outcome is Outcome.SETTLED and payment is not None:
            _pay(payment, report, now=now)
            paid.append(payment)
        elif outcome is Outcome.CLOSED and payment is not None:
            payment.status, payment.closed_at, payment.available_at = PaymentStatus.CLOSED, now, None
            payment.save(update_fields=["status", "closed_at", "available_at"])
        results.append(Applied(outcome, payment))
    Payment.objects.bulk_update(paid, ["status", "trade_no", "paid_at", "closed_at", "available_at"])
    finalise_orders([payment.order for payment in paid], now=now, cause=cause)
    _log(reports, results)
    return results


def _lock(out_trade_nos: Sequence[str]) -> Mapping[str, Payment]:
    """The payments by `out_trade_no`, with their accounts, orders and themselves locked, in that order and each by id."""
    known = list(Payment.objects.filter(out_trade_no__in=out_trade_nos).values_list("pk", "order_id", "order__account_id"))
    # Evaluated one after the other: a queryset that nobody reads locks nothing.
    list(
        Account.objects.filter(pk__in={account for _, _, account in known}).select_for_update(no_key=True).order_by("pk").values_list("pk")
    )
    orders = {
        order.pk: order
        for order in Order.objects.filter(pk__in={order for _, order, _ in known}).select_for_update(no_key=True).order_by("pk")
    }
    payments = list(Payment.objects.filter(pk__in=[pk for pk, _, _ in known]).select_for_update(no_key=True).order_by("pk"))
    for payment in payments:
        payment.order = orders[payment.order_id]  # one object per order, so that a second payment in the batch sees the first
    return {payment.out_trade_no: payment for payment in payments}


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
    if payment.status != PaymentStatus.OPEN:
        # A late closing, or the notice of a full refund: it takes nothing back by itself.
        return Outcome.ALREADY_APPLIED
    return Outcome.REFUNDED_ELSEWHERE if report.refunded else Outcome.CLOSED


def _decide_paid(report: TradeReport, payment: Payment) -> Outcome:
    if payment.status == PaymentStatus.PAID:
        # A repeat, or the notice of a partial refund, which looks like a success.
        return Outcome.ALREADY_APPLIED
    if report.refunded:
        return Outcome.REFUNDED_ELSEWHERE
    if payment.status != PaymentStatus.OPEN or payment.order.status != OrderStatus.AWAITING_PAYMENT:
        return Outcome.ORDER_NOT_AWAITING_PAYMENT
    return Outcome.SETTLED


def _pay(payment: Payment, report: TradeReport, *, now: datetime) -> None:
    payment.status = PaymentStatus.PAID
    payment.trade_no = report.trade_no
    payment.paid_at = report.paid_at or now
    payment.available_at = None
    # The order's row is written by finalise_orders; this object is what the batch's next report looks at.
    payment.order.status = OrderStatus.PAID


def _log(reports: Sequence[TradeReport], results: Sequence[Applied]) -> None:
    for report, result in zip(reports, results, strict=True):
        if result.outcome in QUARANTINED:
            log.error("trade_quarantined", out_trade_no=report.out_trade_no, outcome=result.outcome.value, alert=True)
        else:
            log.info("trade_applied", out_trade_no=report.out_trade_no, outcome=result.outcome.value)
