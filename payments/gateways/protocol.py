"""The protocol of a payment gateway: amounts as Decimal in yuan, aware datetimes, and three kinds of failure.

Nothing here or above depends on a provider: each gateway translates statuses, refusals and refund numbers
itself.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from payments.states import BillRowKind


class TradeStatus(StrEnum):
    """The gateway's view of a trade."""

    WAITING = "waiting"
    PAID = "paid"
    # Paid, and no longer refundable through the gateway.
    FINISHED = "finished"
    # Ended unpaid, or fully refunded: only the latter has a `TradeReport.paid_at`.
    CLOSED = "closed"


class Refusal(StrEnum):
    """Why a gateway refused. It decides what the shop does next and what the caller is told."""

    ALREADY_PAID = "already_paid"
    TRADE_CLOSED = "trade_closed"
    TRADE_FINISHED = "trade_finished"
    UNKNOWN_TRADE = "unknown_trade"
    # The trade's status doesn't allow this call; a query finds the status.
    WRONG_STATE = "wrong_state"
    AMOUNT_OVER_LIMIT = "amount_over_limit"
    # A limit or a risk rule of the buyer or of the merchant.
    BUYER_NOT_ALLOWED = "buyer_not_allowed"
    NOT_PERMITTED = "not_permitted"
    REFUND_OVER_AMOUNT = "refund_over_amount"
    # The same request number was used with another amount.
    REFUND_DISCORDANT = "refund_discordant"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    INVALID_REQUEST = "invalid_request"
    # There is no bill for that day: final if the day had no trades, else not ready yet.
    NO_BILL = "no_bill"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PaymentIntent:
    """A payment to be made by a buyer. The gateway must not accept it after `expires_at`."""

    out_trade_no: str
    amount: Decimal
    subject: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RefundIntent:
    """A refund to be made. Idempotent: the same `out_request_no` with the same amount is the same refund,
    however often it is sent.
    """

    out_trade_no: str
    out_request_no: str
    amount: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class RefundMovement:
    """One refund that the gateway reports.

    `number` is the request number that it was made with, by the shop or by somebody else. `amount` is this
    refund's own, in yuan; None if the source reports only the trade's total.
    """

    number: str
    amount: Decimal | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class TradeReport:
    """What the gateway reports about a trade. A field is None if the source doesn't have it.

    The answer to a query is current (`is_current`); a notification may be late and outdated. `refunded` is
    the trade's cumulative refund in yuan. `told_at` is when a notification was sent.
    """

    out_trade_no: str
    trade_no: str
    status: TradeStatus
    total_amount: Decimal
    app_id: str | None
    seller_id: str | None
    paid_at: datetime | None
    refunded: Decimal | None = None
    movements: tuple[RefundMovement, ...] = ()
    is_current: bool = False
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BillRow:
    """A payment received or a refund made on the bill's day. Amounts are in yuan.

    A refund's `amount` is never negative; a payment's has the sign that the bill states. `fee` is negative if
    the gateway charged it and positive if it returned it. `out_request_no` is a refund's number; empty if the
    row has none, or no valid one.
    """

    kind: BillRowKind
    trade_no: str
    out_trade_no: str
    out_request_no: str
    amount: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification with a verified signature.

    `facts` are the fields that repeated deliveries share; `facts_key` is their digest. `verified_by` is the
    fingerprint of the key that verified it.
    """

    provider: str
    notice_id: str
    facts: Mapping[str, str]
    status_text: str
    verified_by: str
    report: TradeReport

    @property
    def facts_key(self) -> str:
        """A digest of the facts: 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(dict(self.facts), sort_keys=True).encode()).hexdigest()


class GatewayError(Exception):
    """The base class of what a gateway call raises."""


class GatewayUnreachable(GatewayError):
    """The outcome is unknown: no answer, a malformed or unsigned one, or an internal error of the gateway.

    Retry later with the same ids.
    """


class BillUnreadable(GatewayUnreachable):
    """What was downloaded isn't a complete bill. No row of it counts; another download may be complete."""


class GatewayShut(GatewayUnreachable):
    """No call was made: the circuit breaker is open, or all places for calls are taken."""


class GatewayLimited(GatewayShut):
    """The gateway rejected the call because there were too many. Nothing was done; the same call can be
    retried soon.
    """


class GatewayUnsigned(GatewayUnreachable):
    """An error without a signature.

    It proves nothing, but most likely the gateway doesn't know the shop's key or app, or doesn't permit the
    call.
    """


class GatewayRejected(GatewayError):
    """A signed refusal.

    `refusal` is its kind, and `code` the gateway's own code for people and logs. `is_final` says that
    repeating the same request can never succeed.
    """

    def __init__(self, refusal: Refusal, code: str, text: str = "", *, is_final: bool) -> None:
        self.refusal = refusal
        self.code = code
        self.is_final = is_final
        super().__init__(f"{code} {text}".strip())


class InvalidSignature(GatewayError):
    """A message that the gateway didn't sign, or that doesn't have the form of its messages."""


class Gateway(Protocol):
    """One provider with one app's credentials.

    Calls take seconds at most and are never made inside a transaction.
    """

    name: str
    app_id: str
    seller_id: str

    def page_url(self, intent: PaymentIntent) -> str:
        """The cashier's URL for this intent.

        No network; the trade is created at the gateway when the buyer opens the URL.
        """
        ...

    def wap_url(self, intent: PaymentIntent) -> str:
        """As `page_url`, for a phone's browser."""
        ...

    def app_order_string(self, intent: PaymentIntent) -> str:
        """The string that a mobile app passes to the gateway's SDK. No network."""
        ...

    def create_qr(self, intent: PaymentIntent) -> str:
        """The content of a QR code.

        Raises:
            GatewayUnreachable
            GatewayRejected: ALREADY_PAID if the trade has been paid.
        """
        ...

    def close(self, out_trade_no: str) -> None:
        """Closes an unpaid trade.

        A trade that the gateway doesn't know counts as closed, although its buyer may still open the cashier.

        Raises:
            GatewayUnreachable
            GatewayRejected: the trade isn't unpaid.
        """
        ...

    def refund(self, intent: RefundIntent) -> bool:
        """Sends a refund. True proves that the money has moved; False proves nothing: query the refund.

        Raises:
            GatewayUnreachable, GatewayRejected
        """
        ...

    def find_refund(self, out_trade_no: str, out_request_no: str) -> RefundMovement | None:
        """The refund with this number and its amount, whoever made it; None if there is no such refund (yet).

        Raises:
            GatewayUnreachable, GatewayRejected
        """
        ...

    def download_bill(self, day: date) -> bytes:
        """The bill with the trades and refunds of a past day (Beijing time), in the gateway's own format.

        Raises:
            GatewayUnreachable: it can't be downloaded now.
            GatewayRejected: NO_BILL if there is none for that day (yet).
        """
        ...

    def read_bill(self, archive: bytes) -> Iterator[BillRow]:
        """The rows of a downloaded bill, one by one. No network.

        Raises:
            BillUnreadable: it isn't a complete bill; rows that were read before don't count.
        """
        ...

    def query(self, out_trade_no: str) -> TradeReport | None:
        """The current report of the trade (`is_current`); None if the gateway doesn't know it (yet).

        Raises:
            GatewayUnreachable, GatewayRejected
        """
        ...

    def verify_notification(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """Verifies an asynchronous notification and reads it.

        Raises:
            InvalidSignature
        """
        ...

    def verify_return(self, form: Mapping[str, str]) -> str:
        """Verifies the buyer's return from the cashier; returns the `out_trade_no` that it names.

        It doesn't prove a payment.

        Raises:
            InvalidSignature
        """
        ...


class Attempt(Protocol):
    """Identifies the credentials that a payment was made with; `payments.models.Payment` implements it."""

    provider: str
    app_id: str


class Gateways(Protocol):
    """The configured gateways.

    New attempts are made with `current`; an older one keeps the credentials that it was made with.
    """

    @property
    def current(self) -> Gateway: ...

    @property
    def all(self) -> Sequence[Gateway]:
        """One gateway for each configured app, the current one first."""
        ...

    def free(self, wanted: int) -> int:
        """How many of `wanted` calls may be started now: fewer under a rate limit, one or none while the
        circuit breaker is open.
        """
        ...

    def is_silent(self) -> bool:
        """Whether this process's circuit breaker is open."""
        ...

    def gateway_for(self, attempt: Attempt) -> Gateway:
        """The gateway with the provider and app that the attempt was made with.

        Raises:
            GatewayNotConfigured: no credentials of that app are configured.
        """
        ...

    def verify_notification(self, provider: str, headers: Mapping[str, str], body: bytes) -> Notice:
        """As `Gateway.verify_notification`, with the credentials of the app that the message names.

        Raises:
            InvalidSignature
        """
        ...
