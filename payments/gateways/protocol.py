"""What the shop asks of a payment gateway, in its own words: Decimals, aware datetimes, three kinds of failure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol


class TradeStatus(StrEnum):
    """The gateway's view of a trade. CLOSED is both "never paid" and "refunded in full": `refunded` tells."""

    WAITING = "WAIT_BUYER_PAY"
    SUCCESS = "TRADE_SUCCESS"
    FINISHED = "TRADE_FINISHED"
    CLOSED = "TRADE_CLOSED"


@dataclass(frozen=True, slots=True)
class PaymentIntent:
    """What a buyer is to pay. `expires_at` is when the gateway must stop taking it."""

    out_trade_no: str
    amount: Decimal
    subject: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class RefundIntent:
    """Money to go back. The same `out_request_no` with the same amount is the same refund, however often it is sent."""

    out_trade_no: str
    out_request_no: str
    amount: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class TradeReport:
    """What the gateway says of a trade, from a notification or from a query. None where the source doesn't say."""

    out_trade_no: str
    trade_no: str
    status: TradeStatus
    total_amount: Decimal
    app_id: str | None
    seller_id: str | None
    paid_at: datetime | None
    refunded: Decimal


class GatewayError(Exception):
    """What a gateway call may raise."""


class GatewayUnreachable(GatewayError):
    """The outcome is unknown: no answer, a broken or unproven one, or the gateway's own fault. Ask again later, with the same ids."""


class GatewayRejected(GatewayError):
    """A proven, definite no. `reason` is the gateway's own code."""

    def __init__(self, reason: str, text: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason} {text}".strip())


class InvalidSignature(GatewayError):
    """A message that the gateway didn't sign, or that isn't formed as its messages are."""


class Gateway(Protocol):
    """One provider. Calls take seconds at most and are never made inside a transaction."""

    name: str
    app_id: str
    seller_id: str

    def page_url(self, intent: PaymentIntent) -> str:
        """The cashier's address for this intent. No network; the trade exists at the gateway only once the buyer shows up there."""
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
            GatewayUnreachable, GatewayRejected
        """
        ...

    def close(self, out_trade_no: str) -> None:
        """Closes an unpaid trade. One that the gateway doesn't know counts as closed, though its buyer may still come.

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

    def query_refund(self, intent: RefundIntent) -> bool:
        """Whether the gateway has done this refund, with this amount.

        Raises:
            GatewayUnreachable, GatewayRejected
        """
        ...

    def download_bill(self, day: date) -> bytes:
        """The zip with the trades and refunds of a past day (Beijing).

        Raises:
            GatewayUnreachable: it isn't ready, or can't be had now.
            GatewayRejected: there is none for that day.
        """
        ...

    def query(self, out_trade_no: str) -> TradeReport | None:
        """The trade as the gateway sees it now, or None while it doesn't know it.

        Raises:
            GatewayUnreachable, GatewayRejected
        """
        ...

    def verify_notification(self, form: Mapping[str, str]) -> TradeReport:
        """What an asynchronous notification says, once it is proven to be the gateway's.

        Raises:
            InvalidSignature
        """
        ...

    def verify_return(self, form: Mapping[str, str]) -> str:
        """The `out_trade_no` of a buyer's way back from the cashier, once it is proven to be the gateway's. Says nothing about payment.

        Raises:
            InvalidSignature
        """
        ...
