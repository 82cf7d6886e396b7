"""One buyer's share of order requests.

The open orders are counted by the statement that stores a request (`intake.py`).
"""

import threading
import time
from collections.abc import Hashable
from datetime import datetime

from django.conf import settings
from django.db.models import Min
from django.utils.translation import gettext_noop

from shop.domain import limits, sql
from shop.domain.callers import TokenDigest
from shop.domain.limits import Rate
from shop.models import Account, Order
from shop.states import OrderRequestStatus, OrderStatus

# Entries that a process keeps before it drops all of them: windows are short, and losing one only lets a
# buyer start over.
_REMEMBERED = 10_000
# For requests that no worker has looked at yet.
_PENDING_S = 1


class _Windows:
    """Fixed windows of this process alone. Counting in Valkey would cost the busiest address a twentieth."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._windows: dict[Hashable, tuple[int, int]] = {}
        self._owners: dict[TokenDigest, int] = {}

    def learn(self, digest: TokenDigest, account_id: int) -> None:
        """Whose token it is, so that all tokens of one buyer share."""
        with self._lock:
            if len(self._owners) >= _REMEMBERED:
                self._owners.clear()
            self._owners[digest] = account_id

    def count(self, caller: int | TokenDigest) -> int:
        """Counts one request and answers 0, or the seconds until there is room again."""
        most, window_s = settings.LIMITS[Rate.ORDER_REQUESTS.value]
        now_s = int(time.monotonic())
        with self._lock:
            subject: Hashable = self._owners.get(caller, caller) if isinstance(caller, str) else caller
            ends_s, count = self._windows.get(subject, (0, 0))
            if now_s >= ends_s:
                if len(self._windows) >= _REMEMBERED:
                    self._windows.clear()
                ends_s, count = now_s + window_s, 0
            if count >= most:
                return ends_s - now_s + 1
            self._windows[subject] = (ends_s, count + 1)
        return 0


_windows = _Windows()
learn_owner = _windows.learn


def count_request(caller: Account | TokenDigest) -> None:
    """Counts one order request of the buyer, who may be known by a token only.

    Raises:
        TooManyRequests: there were too many in this process lately.
    """
    wait_s = _windows.count(caller.pk if isinstance(caller, Account) else caller)
    if wait_s:
        limits.refuse(Rate.ORDER_REQUESTS, retry_after_s=wait_s)


# Whether `caller.id` has as many open orders as a buyer may have; no more than these are read.
IS_FULL = sql.statement(
    """
    EXISTS (
        SELECT FROM (
            SELECT FROM shop_order WHERE account_id = caller.id AND status = {OrderStatus.AWAITING_PAYMENT}
            UNION ALL
            SELECT FROM shop_orderrequest WHERE account_id = caller.id
                AND status = {OrderRequestStatus.PENDING}
        ) AS open OFFSET %(max_open)s - 1
    )
""",
    OrderRequestStatus,
    OrderStatus,
)
_IS_FULL = f"SELECT {IS_FULL} FROM (SELECT %(account_id)s::bigint AS id) AS caller"  # noqa: S608 - our own text


def check_open_orders(account_id: int, *, now: datetime) -> None:
    """Refuses a buyer who has as many open orders as one may have. There is room again when the first one is
    closed.

    Raises:
        TooManyRequests
    """
    [[is_full]] = sql.read(_IS_FULL, {"account_id": account_id, "max_open": settings.MAX_OPEN_ORDERS})
    if not is_full:
        return
    waiting = Order.objects.filter(account_id=account_id, status=OrderStatus.AWAITING_PAYMENT)
    closes_at: datetime | None = waiting.aggregate(Min("closes_at"))["closes_at__min"]
    wait_s = _PENDING_S if closes_at is None else int((closes_at - now).total_seconds()) + 1
    limits.refuse(
        "open_orders",
        retry_after_s=wait_s,
        message=gettext_noop("您有太多未支付的订单，请先支付或取消一部分。"),
    )
