"""What a report of the gateway means for a payment: pure functions, the only place that decides it."""

from datetime import timedelta
from enum import StrEnum

from payments.gateways.protocol import TradeReport, TradeStatus
from payments.models import Payment
from payments.states import ClosedReason, PaymentStatus
from shop.states import OrderStatus


class Outcome(StrEnum):
    """What became of a report."""

    SETTLED = "settled"
    # Money for an order that had expired: its coupons and 贝里 could be taken again.
    REOPENED = "reopened"
    # Money for an order that couldn't take it: it is refunded.
    LATE = "late"
    DOUBLE = "double"
    CLOSED = "closed"
    # The money came and went back whole, before we heard of it or after.
    GIVEN_BACK = "given_back"
    # A refund that we didn't order: it is a row now, to be proven.
    REFUND_REPORTED = "refund_reported"
    # The report contradicts our rows and may be old: the trade is due for a query, and the answer decides.
    ASKED = "asked"
    # Nothing to do.
    WAITING = "waiting"
    ALREADY_APPLIED = "already_applied"
    # Staff have to decide.
    UNKNOWN_TRADE = "unknown_trade"
    WRONG_APP = "wrong_app"
    WRONG_SELLER = "wrong_seller"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_TRADE_NO = "wrong_trade_no"
    # More has been refunded than our rows say, and no refund number explains it.
    REFUNDED_ELSEWHERE = "refunded_elsewhere"
    # The gateway's current answer contradicts our books.
    CONTRADICTED = "contradicted"


APPLIED = frozenset(
    {
        Outcome.SETTLED, Outcome.REOPENED, Outcome.LATE, Outcome.DOUBLE, Outcome.CLOSED, Outcome.GIVEN_BACK,
        Outcome.REFUND_REPORTED,
    }
)  # fmt: skip
IGNORED = frozenset({Outcome.WAITING, Outcome.ALREADY_APPLIED})
QUARANTINED = frozenset(Outcome) - APPLIED - IGNORED - {Outcome.ASKED}
# A notification that is sent this long after the payment is a retry: by Alipay's schedule the first comes
# after four minutes. Newer notifications may have overtaken it.
STALE_AFTER = timedelta(minutes=2)


def decide(report: TradeReport, payment: Payment | None) -> Outcome:
    """What a report means for the payment that it names (None: none of ours), before anything is changed.

    SETTLED stands for "money has come"; what it is for is found out when it is booked. REFUND_REPORTED
    likewise: it may turn out known.
    """
    if payment is None:
        return Outcome.UNKNOWN_TRADE
    if (mismatch := _find_mismatch(report, payment)) is not None:
        return mismatch
    if report.status is TradeStatus.WAITING:
        return Outcome.CONTRADICTED if report.is_current and payment.paid_at is not None else Outcome.WAITING
    if not report.is_current and _would_surprise(report, payment):
        return Outcome.ASKED
    return (
        _decide_closed(report, payment)
        if report.status is TradeStatus.CLOSED
        else _decide_paid(report, payment)
    )


def _find_mismatch(report: TradeReport, payment: Payment) -> Outcome | None:
    """What of the report differs from what was agreed on when the attempt was made; None if nothing does."""
    if report.app_id != payment.app_id:
        return Outcome.WRONG_APP
    if report.seller_id is not None and report.seller_id != payment.seller_id:
        return Outcome.WRONG_SELLER
    if report.total_amount != payment.amount:
        return Outcome.WRONG_AMOUNT
    if payment.trade_no is not None and report.trade_no != payment.trade_no:
        return Outcome.WRONG_TRADE_NO
    return None


def _would_surprise(report: TradeReport, payment: Payment) -> bool:
    """Whether applying a notification would contradict what we know, or rest on a word that another may have
    overtaken.

    The one place that decides this. What stays is the ordinary: money for an open attempt of a waiting order,
    an unpaid trade's end, and repeats and refunds of what is paid.
    """
    is_paid_word = report.status is not TradeStatus.CLOSED
    match PaymentStatus(payment.status):
        case PaymentStatus.OPEN if is_paid_word:
            return (
                payment.order.status != OrderStatus.AWAITING_PAYMENT
                or bool(report.refunded)
                or _is_stale(report)
            )
        case PaymentStatus.OPEN:
            return bool(report.refunded) or report.paid_at is not None
        case PaymentStatus.CLOSED if payment.closed_reason == ClosedReason.GIVEN_BACK:
            return is_paid_word
        case PaymentStatus.CLOSED:
            return is_paid_word or bool(report.refunded) or report.paid_at is not None
        case PaymentStatus.PAID:
            return not is_paid_word and not report.refunded


def _is_stale(report: TradeReport) -> bool:
    return (
        report.told_at is not None
        and report.paid_at is not None
        and report.told_at - report.paid_at > STALE_AFTER
    )


def _decide_closed(report: TradeReport, payment: Payment) -> Outcome:
    was_paid = report.paid_at is not None
    match PaymentStatus(payment.status):
        case PaymentStatus.PAID if not report.is_current:
            return Outcome.REFUND_REPORTED
        case PaymentStatus.PAID:
            return Outcome.GIVEN_BACK if was_paid else Outcome.CONTRADICTED
        case PaymentStatus.CLOSED if payment.closed_reason == ClosedReason.GIVEN_BACK and not (
            report.is_current and was_paid
        ):
            return Outcome.REFUND_REPORTED if report.refunded else Outcome.ALREADY_APPLIED
        case _ if was_paid:
            return Outcome.GIVEN_BACK
        case PaymentStatus.OPEN:
            return Outcome.CLOSED
        case PaymentStatus.CLOSED:
            return Outcome.ALREADY_APPLIED


def _decide_paid(report: TradeReport, payment: Payment) -> Outcome:
    if payment.status == PaymentStatus.PAID:
        return Outcome.REFUND_REPORTED if report.refunded else Outcome.ALREADY_APPLIED
    return Outcome.CONTRADICTED if payment.closed_reason == ClosedReason.GIVEN_BACK else Outcome.SETTLED
