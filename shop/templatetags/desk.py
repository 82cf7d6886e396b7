"""Template filters and tags of the desk: amounts, times, links and the colour of a status."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template

from shop.desk import display
from shop.models import LedgerTransfer

register = template.Library()

_TONES = {
    "paid": "good", "succeeded": "good", "paid_elsewhere": "good", "active": "good", "applied": "good",
    "used": "good", "created": "good",
    "awaiting_payment": "info", "open": "info", "requested": "warn", "reported": "warn", "sent": "info",
    "unknown": "info",
    "received": "info", "asked": "info", "pending": "info", "unused": "info", "reserved": "warn",
    "refunded": "warn", "revoked": "warn",
    "failed": "bad", "quarantined": "bad",
}  # fmt: skip


@register.filter
def yuan(amount: Decimal | None) -> str:
    return display.yuan(amount)


@register.filter
def less(amount: Decimal) -> str:
    """A discount with its sign; a dash for zero."""
    return f"−{display.yuan(amount)}" if amount else "–"


@register.filter
def moment(at: datetime | None) -> str:
    return display.moment(at)


@register.filter
def memo(text: str) -> str:
    return display.memo(text)


@register.filter
def row_link(row: Any, text: Any = None) -> str:
    return display.link_to(row, text)


@register.filter
def tone(row: Any) -> str:
    """The colour of the row's status."""
    return _TONES.get(row.status, "")


@register.filter
def transfer_amount(transfer: LedgerTransfer) -> str:
    is_cny = transfer.currency == LedgerTransfer.Currency.CNY
    return display.yuan(transfer.amount) if is_cny else display.beili(int(transfer.amount))
