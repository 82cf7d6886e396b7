"""The rows shown on a buyer's page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from knox.models import AuthToken

from shop.domain import enrolments, ledger
from shop.domain.coupons import coupons
from shop.models import Account, CouponRecord, Enrolment, LedgerTransfer, Order

# How many of the newest rows are shown; the lists have the rest.
MAX_ROWS = 30


@dataclass(frozen=True, slots=True)
class BuyerPage:
    account: Account
    transfers: Sequence[LedgerTransfer]
    coupons: Sequence[CouponRecord]
    orders: Sequence[Order]
    # Pairs of an enrolment and the deeds that apply to it.
    enrolments: Sequence[tuple[Enrolment, Any]]
    logins: Sequence[AuthToken]


def read_buyer_page(account: Account, offers: Callable[[Any], Sequence[tuple[Any, str]]]) -> BuyerPage:
    """What the buyer owns. `offers` returns the deeds that apply to an enrolment."""
    found = list(
        enrolments.list_enrolments(account=account).select_related("course", "order_line__order", "account")[
            :MAX_ROWS
        ]
    )
    return BuyerPage(
        account=account,
        transfers=list(ledger.list_beili_transfers(account=account)[:MAX_ROWS]),
        coupons=list(coupons.list_records(account=account)[:MAX_ROWS]),
        orders=list(
            Order.objects.filter(account=account).prefetch_related("lines").order_by("-id")[:MAX_ROWS]
        ),
        enrolments=[(enrolment, offers(enrolment)) for enrolment in found],
        logins=list(AuthToken.objects.filter(user=account).order_by("-created")[:MAX_ROWS]),
    )
