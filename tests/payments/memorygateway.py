"""An in-memory gateway that reports its trades correctly and can fail at every call, before or after the
effect.

The rules are those of `docs/simulator.md`. Signatures aren't modelled: `sign` is a fixed text.
"""

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, auto
from urllib.parse import parse_qsl, urlencode

from django.db import connection

from payments.gateways.protocol import (
    BillRow,
    BillUnreadable,
    GatewayRejected,
    GatewayUnreachable,
    InvalidSignature,
    Notice,
    PaymentIntent,
    RefundIntent,
    RefundMovement,
    Refusal,
    TradeReport,
    TradeStatus,
)
from payments.states import BillRowKind, Product
from shop.clock import shanghai_date

ZERO = Decimal("0.00")
GENUINE = "genuine"
APP_ID, OTHER_APP_ID = "2021000000000001", "2021000000000002"
# Products that also notify the end of a trade.
TELLS_CLOSE = frozenset({Product.WAP, Product.APP})


class Died(BaseException):
    """The process was killed here. Not an Exception: nothing in the code under test may catch it."""


class Fault(Enum):
    """A fault for the next call to which it applies."""

    NOTHING = auto()
    LOST_BEFORE = auto()
    LOST_AFTER = auto()
    DIE_BEFORE = auto()
    DIE_AFTER = auto()
    # The buyer pays right after a query was answered, or just before a close.
    BUYER_PAYS = auto()
    REFUND_PENDING = auto()
    NO_FUNDS = auto()


BEFALLS = {
    Fault.BUYER_PAYS: ("query", "close"),
    Fault.REFUND_PENDING: ("refund",),
    Fault.NO_FUNDS: ("refund",),
}


@dataclass
class Trade:
    """A trade at the gateway, which exists once its buyer has shown up."""

    out_trade_no: str
    trade_no: str
    amount: Decimal
    product: Product
    app_id: str
    status: TradeStatus = TradeStatus.WAITING
    paid_at: datetime | None = None
    is_refundable: bool = True
    refunds: dict[str, Decimal] = field(default_factory=dict)
    refunded_at: dict[str, datetime] = field(default_factory=dict)
    # Accepted, but the money moves only at that time.
    pending: dict[str, tuple[Decimal, datetime]] = field(default_factory=dict)

    @property
    def is_paid(self) -> bool:
        return self.paid_at is not None

    @property
    def refunded(self) -> Decimal:
        return sum(self.refunds.values(), ZERO)


@dataclass(frozen=True)
class Offer:
    """A pay URL, order string or QR code that was issued. The trade is created at the gateway when it is
    used.
    """

    intent: PaymentIntent
    product: Product
    app_id: str


class MemoryGateway:
    """See `payments.gateways.protocol.Gateway`."""

    name = "memory"
    seller_id = "2088000000000001"

    def __init__(
        self, now: Callable[[], datetime], *, app_id: str = APP_ID, forbids_transactions: bool = False
    ) -> None:
        self.now = now
        self.app_id = app_id
        # The accepted values of `sign`, which stand for the configured keys.
        self.keys = {GENUINE}
        self.forbids_transactions = forbids_transactions
        self.offers: dict[str, Offer] = {}
        self.trades: dict[str, Trade] = {}
        self.faults: list[Fault] = []
        self.outbox: list[dict[str, str]] = []
        self.calls: list[str] = []
        # Bills: whether they are ready, and the faults in their rows.
        self.has_bills = True
        self.spoil_bill: Callable[[list[BillRow]], list[BillRow]] = lambda rows: rows
        self._serial = itertools.count(1)

    def sibling(self, app_id: str) -> "MemoryGateway":
        """Another app of the same merchant at the same gateway, which doesn't know the first one's trades."""
        other = copy.copy(self)
        other.app_id = app_id
        return other

    # --- What the shop calls --------------------------------------------------------------------------------

    def page_url(self, intent: PaymentIntent) -> str:
        return self._offer(intent, Product.PAGE)

    def wap_url(self, intent: PaymentIntent) -> str:
        return self._offer(intent, Product.WAP)

    def app_order_string(self, intent: PaymentIntent) -> str:
        return self._offer(intent, Product.APP)

    def create_qr(self, intent: PaymentIntent) -> str:
        with self._call("create_qr"):
            trade = self._own(intent.out_trade_no)
            if trade is not None and trade.is_paid:
                raise GatewayRejected(Refusal.ALREADY_PAID, "ACQ.TRADE_HAS_SUCCESS", is_final=True)
            if trade is not None and trade.status is TradeStatus.CLOSED:
                raise GatewayRejected(Refusal.TRADE_CLOSED, "ACQ.TRADE_HAS_CLOSE", is_final=True)
            return self._offer(intent, Product.QR)

    def query(self, out_trade_no: str) -> TradeReport | None:
        with self._call("query") as fault:
            trade = self._own(out_trade_no)
            report = None if trade is None else self._report(trade)
            if fault is Fault.BUYER_PAYS:
                self.pay(out_trade_no)
            return report

    def close(self, out_trade_no: str) -> None:
        with self._call("close") as fault:
            if fault is Fault.BUYER_PAYS:
                self.pay(out_trade_no)
            trade = self._own(out_trade_no)
            if trade is None:
                return
            if trade.status is not TradeStatus.WAITING:
                raise GatewayRejected(Refusal.WRONG_STATE, "ACQ.TRADE_STATUS_ERROR", is_final=True)
            self._close(trade)

    def refund(self, intent: RefundIntent) -> bool:
        with self._call("refund") as fault:
            trade = self._own(intent.out_trade_no)
            if trade is None:
                raise GatewayRejected(Refusal.UNKNOWN_TRADE, "ACQ.TRADE_NOT_EXIST", is_final=True)
            known = (
                trade.refunds.get(intent.out_request_no)
                or trade.pending.get(intent.out_request_no, (None,))[0]
            )
            if known is not None:
                if known != intent.amount:
                    raise GatewayRejected(
                        Refusal.REFUND_DISCORDANT, "ACQ.DISCORDANT_REPEAT_REQUEST", is_final=True
                    )
                return False
            self._refuse_refund(trade, intent, fault)
            if fault is Fault.REFUND_PENDING:
                trade.pending[intent.out_request_no] = (intent.amount, self.now() + timedelta(seconds=60))
                return False
            self._move_refund(trade, intent.out_request_no, intent.amount)
            return True

    def find_refund(self, out_trade_no: str, out_request_no: str) -> RefundMovement | None:
        with self._call("find_refund"):
            trade = self._own(out_trade_no)
            amount = trade.refunds.get(out_request_no) if trade is not None else None
            return None if amount is None else RefundMovement(out_request_no, amount, None)

    def download_bill(self, day: date) -> bytes:
        with self._call("download_bill"):
            if not self.has_bills:
                raise GatewayRejected(Refusal.NO_BILL, "BILL_NOT_EXIST", is_final=False)
            rows = self.spoil_bill(self._bill_of(day))
            if not rows:
                raise GatewayRejected(Refusal.NO_BILL, "NO_BILL_DATA", is_final=True)
            return json.dumps([[*astuple(row)[:4], str(row.amount), str(row.fee)] for row in rows]).encode()

    def read_bill(self, archive: bytes) -> Iterator[BillRow]:
        try:
            cells = json.loads(archive)
        except ValueError as error:
            raise BillUnreadable("not a bill") from error
        for kind, trade_no, out_trade_no, out_request_no, amount, fee in cells:
            yield BillRow(
                BillRowKind(kind), trade_no, out_trade_no, out_request_no, Decimal(amount), Decimal(fee)
            )

    def _bill_of(self, day: date) -> list[BillRow]:
        """The payments and refunds of that day."""
        rows = []
        for trade in self.trades.values():
            if trade.app_id == self.app_id and trade.paid_at and shanghai_date(trade.paid_at) == day:
                rows.append(self.bill_row(trade))
            rows += [
                self.bill_row(trade, number, amount)
                for number, amount in trade.refunds.items()
                if trade.app_id == self.app_id and shanghai_date(trade.refunded_at[number]) == day
            ]
        return rows

    def bill_row(self, trade: Trade, number: str = "", amount: Decimal | None = None) -> BillRow:
        kind = BillRowKind.REFUND if number else BillRowKind.TRADE
        fee = ZERO if number else Decimal("-0.01")
        return BillRow(kind, trade.trade_no, trade.out_trade_no, number, amount or trade.amount, fee)

    def verify_notification(self, headers: Mapping[str, str], body: bytes) -> Notice:
        form = dict(parse_qsl(body.decode(), keep_blank_values=True))
        if form.get("sign") not in self.keys:
            raise InvalidSignature("the signature is wrong")
        facts = {
            name: value for name, value in form.items() if name not in {"notify_id", "notify_time", "sign"}
        }
        return Notice(
            provider=self.name,
            notice_id=form["notify_id"],
            facts=facts,
            status_text=form["trade_status"],
            verified_by=form["sign"],
            report=_report_of(form),
        )

    def verify_return(self, form: Mapping[str, str]) -> str:
        return form["out_trade_no"]

    # --- What happens at the gateway without the shop -------------------------------------------------------

    def console_refund(self, out_trade_no: str, number: str, amount: Decimal) -> bool:
        """A refund in the merchant console, without the shop. False if the amount can't be refunded."""
        trade = self.trades.get(out_trade_no)
        if (
            trade is None
            or not trade.is_paid
            or trade.status is not TradeStatus.PAID
            or number in {**trade.refunds, **trade.pending}
        ):
            return False
        pending = sum((waiting for waiting, _ in trade.pending.values()), ZERO)
        if not ZERO < amount <= trade.amount - trade.refunded - pending:
            return False
        self._move_refund(trade, number, amount)
        return True

    def scan(self, out_trade_no: str) -> bool:
        """The buyer opens an issued URL or code, which creates the trade. False if it has expired."""
        offer = self.offers[out_trade_no]
        if out_trade_no in self.trades or self.now() >= offer.intent.expires_at:
            return False
        self._begin(offer)
        return True

    def pay(self, out_trade_no: str, *, is_late: bool = False) -> bool:
        """The buyer pays. False if the trade can't be paid. `is_late`: the gateway's clock is behind the
        shop's.
        """
        offer = self.offers.get(out_trade_no)
        if offer is None or (self.now() >= offer.intent.expires_at and not is_late):
            return False
        trade = self.trades.get(out_trade_no) or self._begin(offer)
        if trade.status is not TradeStatus.WAITING:
            return False
        trade.status, trade.paid_at = TradeStatus.PAID, self.now()
        self._notify(trade)
        return True

    def tick(self) -> None:
        """Closes expired trades, and completes pending refunds."""
        for trade in self.trades.values():
            if (
                trade.status is TradeStatus.WAITING
                and self.now() >= self.offers[trade.out_trade_no].intent.expires_at
            ):
                self._close(trade)
            for request_no, (amount, at) in list(trade.pending.items()):
                if self.now() >= at:
                    del trade.pending[request_no]
                    self._move_refund(trade, request_no, amount)

    def end_refund_window(self, out_trade_no: str) -> None:
        trade = self.trades[out_trade_no]
        if trade.status is TradeStatus.PAID:
            trade.status, trade.is_refundable = TradeStatus.FINISHED, False
            if trade.product in TELLS_CLOSE:
                self._notify(trade)

    def reopen_refund_windows(self) -> None:
        for trade in self.trades.values():
            if not trade.is_refundable:
                trade.status, trade.is_refundable = TradeStatus.PAID, True

    def form(self, trade: Trade) -> dict[str, str]:
        """A notification of the trade's current status."""
        form = {
            "notify_id": f"{next(self._serial):034}",
            "notify_time": self.now().isoformat(),
            "notify_type": "trade_status_sync",
            "sign": GENUINE,
            "sign_type": "RSA2",
            "app_id": trade.app_id,
            "seller_id": self.seller_id,
            "trade_no": trade.trade_no,
            "out_trade_no": trade.out_trade_no,
            "trade_status": trade.status.value,
            "total_amount": str(trade.amount),
        }
        if trade.paid_at:
            form["gmt_payment"] = trade.paid_at.isoformat()
        if trade.refunded:
            form |= {
                "refund_fee": str(trade.refunded),
                "gmt_refund": self.now().isoformat(),
                "out_biz_no": list(trade.refunds)[-1],
            }
        return form

    def body(self, form: Mapping[str, str]) -> bytes:
        """A notification in its wire format."""
        return urlencode(form).encode()

    @property
    def net(self) -> Decimal:
        """The total that buyers have paid, minus refunds."""
        return sum((trade.amount - trade.refunded for trade in self.trades.values() if trade.is_paid), ZERO)

    # --- Inside ---------------------------------------------------------------------------------------------

    @contextmanager
    def _call(self, name: str) -> Iterator[Fault | None]:
        if self.forbids_transactions and connection.in_atomic_block:
            raise AssertionError(f"{name} is called inside a transaction")
        self.calls.append(name)
        self.tick()
        fault = next((fault for fault in self.faults if name in BEFALLS.get(fault, (name,))), None)
        if fault is not None:
            self.faults.remove(fault)
        if fault is Fault.LOST_BEFORE:
            raise GatewayUnreachable("no answer")
        if fault is Fault.DIE_BEFORE:
            raise Died
        try:
            yield fault
        finally:
            if fault is Fault.LOST_AFTER:
                raise GatewayUnreachable("no answer")
            if fault is Fault.DIE_AFTER:
                raise Died

    def _own(self, out_trade_no: str) -> Trade | None:
        trade = self.trades.get(out_trade_no)
        return trade if trade is not None and trade.app_id == self.app_id else None

    def _offer(self, intent: PaymentIntent, product: Product) -> str:
        self.offers.setdefault(intent.out_trade_no, Offer(intent, product, self.app_id))
        return f"memory://{product.value}/{intent.out_trade_no}"

    def _begin(self, offer: Offer) -> Trade:
        number = offer.intent.out_trade_no
        trade = Trade(
            number, f"2026030222001{next(self._serial):015}", offer.intent.amount, offer.product, offer.app_id
        )
        self.trades[number] = trade
        return trade

    def _close(self, trade: Trade) -> None:
        trade.status = TradeStatus.CLOSED
        if trade.product in TELLS_CLOSE:
            self._notify(trade)

    def _refuse_refund(self, trade: Trade, intent: RefundIntent, fault: Fault | None) -> None:
        if fault is Fault.NO_FUNDS:
            raise GatewayRejected(Refusal.INSUFFICIENT_FUNDS, "ACQ.SELLER_BALANCE_NOT_ENOUGH", is_final=False)
        if not trade.is_paid:
            raise GatewayRejected(Refusal.WRONG_STATE, "ACQ.TRADE_STATUS_ERROR", is_final=True)
        if trade.status is TradeStatus.CLOSED:
            raise GatewayRejected(Refusal.TRADE_CLOSED, "ACQ.TRADE_HAS_CLOSE", is_final=True)
        if not trade.is_refundable:
            raise GatewayRejected(Refusal.TRADE_FINISHED, "ACQ.TRADE_HAS_FINISHED", is_final=True)
        pending = sum((amount for amount, _ in trade.pending.values()), ZERO)
        if trade.refunded + pending + intent.amount > trade.amount:
            raise GatewayRejected(
                Refusal.REFUND_OVER_AMOUNT, "ACQ.REASON_TRADE_REFUND_FEE_ERR", is_final=True
            )

    def _move_refund(self, trade: Trade, request_no: str, amount: Decimal) -> None:
        trade.refunds[request_no] = amount
        trade.refunded_at[request_no] = self.now()
        if trade.refunded == trade.amount:
            trade.status = TradeStatus.CLOSED
        if trade.status is TradeStatus.PAID or trade.product in TELLS_CLOSE:
            self._notify(trade)

    def _notify(self, trade: Trade) -> None:
        self.outbox.append(self.form(trade))

    def _report(self, trade: Trade) -> TradeReport:
        return TradeReport(
            out_trade_no=trade.out_trade_no,
            trade_no=trade.trade_no,
            status=trade.status,
            total_amount=trade.amount,
            app_id=self.app_id,
            seller_id=None,
            paid_at=trade.paid_at,
            is_current=True,
        )


def _report_of(form: Mapping[str, str]) -> TradeReport:
    paid_at, refunded = form.get("gmt_payment"), Decimal(form.get("refund_fee", ZERO))
    movements = (
        (RefundMovement(form["out_biz_no"], None, None),) if refunded and form.get("out_biz_no") else ()
    )
    return TradeReport(
        out_trade_no=form["out_trade_no"],
        trade_no=form["trade_no"],
        status=TradeStatus(form["trade_status"]),
        total_amount=Decimal(form["total_amount"]),
        app_id=form["app_id"],
        seller_id=form["seller_id"],
        paid_at=datetime.fromisoformat(paid_at) if paid_at else None,
        refunded=refunded,
        movements=movements,
        told_at=datetime.fromisoformat(form["notify_time"]) if form.get("notify_time") else None,
    )
