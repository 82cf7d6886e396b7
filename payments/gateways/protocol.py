"""What the shop asks of a payment gateway, in its own words: Decimals, aware datetimes, three kinds of
failure.

No word of a provider's stands here or above: a gateway translates states, refusals and refund numbers at its
own border.
"""

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
    # Ended unpaid, or refunded in full: `TradeReport.paid_at` tells which.
    CLOSED = "closed"


class Refusal(StrEnum):
    """Why a gateway said no. It decides what we do next and what the caller is told."""

    ALREADY_PAID = "already_paid"
    TRADE_CLOSED = "trade_closed"
    TRADE_FINISHED = "trade_finished"
    UNKNOWN_TRADE = "unknown_trade"
    # The trade's state doesn't allow this call; a query tells which state that is.
    WRONG_STATE = "wrong_state"
    AMOUNT_OVER_LIMIT = "amount_over_limit"
    # The buyer's or the merchant's own limit or risk rule.
    BUYER_NOT_ALLOWED = "buyer_not_allowed"
    NOT_PERMITTED = "not_permitted"
    REFUND_OVER_AMOUNT = "refund_over_amount"
    # The same request number was used with another amount.
    REFUND_DISCORDANT = "refund_discordant"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    INVALID_REQUEST = "invalid_request"
    # There is no bill of that day: final where the day had nothing, else not yet.
    NO_BILL = "no_bill"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PaymentIntent:
    """What a buyer is to pay. `expires_at` is when the gateway must stop taking it."""

    out_trade_no: str
    amount: Decimal
    subject: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RefundIntent:
    """Money to go back.

    The same `out_request_no` with the same amount is the same refund, however often it is sent.
    """

    out_trade_no: str
    out_request_no: str
    amount: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class RefundMovement:
    """One refund that the gateway tells of.

    `number` is the request number that it was made with, by us or by somebody else.

    `amount` (yuan) is this movement's own sum; None where the source tells only the trade's total.
    """

    number: str
    amount: Decimal | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class TradeReport:
    """What the gateway says of a trade. None where the source doesn't say.

    A query's answer is current: it says how the trade is now. A notification may be late, and another word
    may have overtaken it. `refunded` is the trade's cumulative refund in yuan. `told_at` is when a
    notification was sent.
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
    """A payment that came in on the bill's day, or a refund that went out. Yuan; `amount` is never negative.

    `fee` is what the gateway took for it, negative, or gave back. `out_request_no` is a refund's; empty where
    the row has none that can be one.
    """

    kind: BillRowKind
    trade_no: str
    out_trade_no: str
    out_request_no: str
    amount: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification that is proven to be the gateway's.

    `facts_key` is the same for repeated deliveries of the same facts. `verified_by` names the key that proved
    it (its fingerprint); `fields` are the message's own, for people to read.
    """

    provider: str
    notice_id: str
    facts_key: str
    status_text: str
    verified_by: str
    fields: Mapping[str, str]
    report: TradeReport


class GatewayError(Exception):
    """What a gateway call may raise."""


class GatewayUnreachable(GatewayError):
    """The outcome is unknown: no answer, a broken or unproven one, or the gateway's own fault.

    Ask again later, with the same ids.
    """


class BillUnreadable(GatewayUnreachable):
    """What was downloaded isn't a whole bill. Nothing of it counts; another download may be better."""


class GatewayShut(GatewayUnreachable):
    """Nothing was asked: the gateway has been silent for a while, or all places for calls are taken."""


class GatewayLimited(GatewayShut):
    """The gateway turned the call away at the door because there are too many: nothing was done, and soon the
    same call may be made again.
    """


class GatewayUnsigned(GatewayUnreachable):
    """An error without a signature.

    It proves nothing, but most likely the gateway doesn't know our key or app, or doesn't permit the call.
    """


class GatewayRejected(GatewayError):
    """A proven no.

    `refusal` says what kind of no it is, `code` is the gateway's own code for people and logs. `is_final`
    tells whether asking again with the same request can ever be answered otherwise.
    """

    def __init__(self, refusal: Refusal, code: str, text: str = "", *, is_final: bool) -> None:
        self.refusal = refusal
        self.code = code
        self.is_final = is_final
        super().__init__(f"{code} {text}".strip())


class InvalidSignature(GatewayError):
    """A message that the gateway didn't sign, or that isn't formed as its messages are."""


class Gateway(Protocol):
    """One provider with one app's credentials.

    Calls take seconds at most and are never made inside a transaction.
    """

    name: str
    app_id: str
    seller_id: str

    def page_url(self, intent: PaymentIntent) -> str:
        """The cashier's address for this intent.

        No network; the trade exists at the gateway only once the buyer shows up there.
        """
        ...

    def wap_url(self, intent: PaymentIntent) -> str:
        """As `page_url`, for a phone's browser."""
        ...

    def app_order_string(self, intent: PaymentIntent) -> str:
        """What a phone's app hands to the gateway's own app. No network."""
        ...

    def create_qr(self, intent: PaymentIntent) -> str:
        """The content of a code for scanning.

        Raises:
            GatewayUnreachable
            GatewayRejected: ALREADY_PAID when the trade's money has come.
        """
        ...

    def close(self, out_trade_no: str) -> None:
        """Closes an unpaid trade.

        One that the gateway doesn't know counts as closed, though its buyer may still come.

        Raises:
            GatewayUnreachable
            GatewayRejected: it isn't unpaid.
        """
        ...

    def refund(self, intent: RefundIntent) -> bool:
        """Sends a refund; True when the answer proves that the money has moved. False says nothing: query it.

        Raises:
            GatewayUnreachable, GatewayRejected
        """
        ...

    def find_refund(self, out_trade_no: str, out_request_no: str) -> RefundMovement | None:
        """The refund that was made under this number, with its amount, whoever made it.

        None while the gateway has done no such refund.

        Raises:
            GatewayUnreachable, GatewayRejected
        """
        ...

    def download_bill(self, day: date) -> bytes:
        """The bill with the trades and refunds of a past day (Beijing), as the gateway packs it.

        Raises:
            GatewayUnreachable: it can't be had now.
            GatewayRejected: NO_BILL when there is none for that day, or not yet.
        """
        ...

    def read_bill(self, archive: bytes) -> Iterator[BillRow]:
        """The rows of a downloaded bill, one by one. No network.

        Raises:
            BillUnreadable: it isn't a whole bill; what has been read of it doesn't count.
        """
        ...

    def query(self, out_trade_no: str) -> TradeReport | None:
        """The trade as the gateway sees it now (`is_current`), or None while it doesn't know it.

        Raises:
            GatewayUnreachable, GatewayRejected
        """
        ...

    def verify_notification(self, headers: Mapping[str, str], body: bytes) -> Notice:
        """What an asynchronous notification says, once it is proven to be the gateway's.

        Raises:
            InvalidSignature
        """
        ...

    def verify_return(self, form: Mapping[str, str]) -> str:
        """The `out_trade_no` of a buyer's way back from the cashier, once it is proven to be the gateway's.

        Says nothing about payment.

        Raises:
            InvalidSignature
        """
        ...


class Attempt(Protocol):
    """What names the credentials that a payment was made with: `payments.models.Payment` is one."""

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
        """Those of every configured app, the current one first."""
        ...

    def free(self, wanted: int) -> int:
        """How many of `wanted` calls may be begun now: fewer under a rate, one or none while the gateway is
        silent.
        """
        ...

    def is_silent(self) -> bool:
        """Whether this process has stopped calling because nobody answers."""
        ...

    def gateway_for(self, attempt: Attempt) -> Gateway:
        """The gateway with the attempt's own provider and app.

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
