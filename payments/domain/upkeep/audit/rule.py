"""What a rule of the audit is."""

from dataclasses import dataclass

from payments.gateways.protocol import TradeStatus
from payments.states import (
    BillRowKind,
    BillStatus,
    NotificationStatus,
    PaymentStatus,
    RefundKind,
    RefundStatus,
)
from shop.domain import sql
from shop.models import LedgerTransfer
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderRequestStatus, OrderStatus


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold, and a SELECT of the rows for which it doesn't, in the words of `_WORDS`."""

    name: str
    says: str
    broken: str
    # Holds only while workers run: a shop whose clock jumps breaks it for a moment.
    is_about_time: bool = False

    @property
    def statement(self) -> str:
        """Finds the rows that break it."""
        return sql.statement(self.broken, *_WORDS)


_WORDS = (
    BillRowKind, BillStatus, CouponRecordStatus, EnrolmentStatus, OrderRequestStatus, OrderStatus,
    NotificationStatus, PaymentStatus, RefundKind, RefundStatus, TradeStatus, LedgerTransfer.Book,
    LedgerTransfer.Currency, )  # fmt: skip
