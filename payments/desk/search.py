"""Finds orders and buyers by whatever an operator has at hand, at a cost that doesn't grow with the shop.

The beginning of a number is found in the whole table through its unique index. Any other part of a number,
and the id of a request or a task, is searched for in the newest rows only: an index for that would slow down
every order.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext, pgettext

from payments.models import Notification, Payment, Refund
from shop.desk.readonly import find_newest_id
from shop.domain import sql
from shop.models import Account, Course, Order, OrderEvent, OrderLine, OrderRequest
from shop.states import OrderRequestStatus

MAX_ROWS = 20
SHORTEST = 3
# In how many of the newest rows a part of a number, or an id, is searched for.
PARTS_OF = 500_000
EVENTS_OF = 200_000
# A notification's row holds its whole body and is ten times as long as an order's.
NOTIFICATIONS_OF = 50_000
# Digits and upper-case letters, which every collation sorts in this order.
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NUMBER = re.compile(r"[0-9A-Z]{3,64}")
_OWN = re.compile(r"(\d{17}[0-9A-Z]{13})([PRSE][0-9A-Z]*)?")
# Digits alone are a phone number or a part of another number, unless the prefix says that they are an id.
_ID = re.compile(r"(?:request:|task:|(?=.*[A-Za-z]))[A-Za-z0-9._-]{8,64}")


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, newest first. Each order comes with a text that says what matched.

    `is_exact` means that the searched text is the whole number of an order, or of one of its payments or
    refunds.
    """

    orders: Sequence[tuple[Order, str]] = ()
    requests: Sequence[OrderRequest] = ()
    accounts: Sequence[Account] = ()
    courses: Sequence[Course] = ()
    is_exact: bool = field(default=False)


def find(text: str) -> Found:
    """Everything that the text may refer to. Texts shorter than `SHORTEST` find nothing."""
    text = text.strip()[:100]
    if len(text) < SHORTEST:
        return Found()
    number = text.upper()
    if own := _OWN.fullmatch(number):
        exact = list(Order.objects.filter(order_number=own[1]).select_related("account"))
        requests = (
            [] if exact else list(OrderRequest.objects.filter(order_number=own[1]).select_related("account"))
        )
        return Found(
            orders=[(order, gettext("订单号")) for order in exact], requests=requests, is_exact=bool(exact)
        )
    ways: dict[int, str] = {}
    if _NUMBER.fullmatch(number):
        _note(ways, _by_start(number), gettext("号码开头"))
        _note(ways, _by_part(number), gettext("号码中的一段"))
    if _ID.fullmatch(text):
        _note(ways, _by_cause(text), gettext("请求或任务编号"))
    courses = list(Course.objects.filter(name__icontains=text).order_by("position", "id")[:5])
    _note(ways, _by_course(courses), pgettext("one", "课程"))
    accounts = _find_accounts(text)
    _note(ways, _by_account(accounts), pgettext("one", "买家"))
    orders = (
        Order.objects.filter(pk__in=sorted(ways, reverse=True)[:MAX_ROWS])
        .select_related("account")
        .order_by("-id")
    )
    return Found(
        orders=[(order, ways[order.pk]) for order in orders],
        requests=_find_requests(text, number) if _ID.fullmatch(text) else [],
        accounts=accounts,
        courses=courses,
    )


def stretch(start: str) -> tuple[str, str]:
    """The range of texts that begin with `start`, as lower and upper bound, in any collation. Only for digits
    and upper-case letters.
    """
    for at in range(len(start) - 1, -1, -1):
        place = _ALPHABET.index(start[at])
        if place + 1 < len(_ALPHABET):
            return start, start[:at] + _ALPHABET[place + 1]
    return start, start + _ALPHABET[-1] * 64


def _note(ways: dict[int, str], ids: Sequence[int], way: str) -> None:
    for pk in ids:
        ways.setdefault(pk, way)


def _by_start(number: str) -> list[int]:
    low, high = stretch(number)
    orders = Order.objects.filter(order_number__gte=low, order_number__lt=high).order_by("-order_number")
    payments = Payment.objects.filter(trade_no__gte=low, trade_no__lt=high).order_by("-trade_no")
    refunds = Refund.objects.filter(pk__gt=find_newest_id(Refund) - PARTS_OF, out_request_no=number)
    return [
        *orders.values_list("pk", flat=True)[:MAX_ROWS],
        *payments.values_list("order_id", flat=True)[:MAX_ROWS],
        *refunds.values_list("order_id", flat=True)[:MAX_ROWS],
    ]


_ORDERS_WITH = """
    SELECT order_number
    FROM (SELECT order_number FROM shop_order ORDER BY order_number DESC LIMIT %s) AS newest
    WHERE position(%s IN order_number) > 0 LIMIT %s
"""
_TRADES_WITH = """
    SELECT trade_no
    FROM (SELECT trade_no FROM payments_payment WHERE trade_no IS NOT NULL
        ORDER BY trade_no DESC LIMIT %s) AS newest
    WHERE position(%s IN trade_no) > 0 LIMIT %s
"""


def _by_part(number: str) -> list[int]:
    if len(number) < SHORTEST + 1:
        return []
    orders = [found for (found,) in sql.read(_ORDERS_WITH, [PARTS_OF, number, MAX_ROWS])]
    trades = (
        [found for (found,) in sql.read(_TRADES_WITH, [PARTS_OF, number, MAX_ROWS])]
        if number.isdecimal()
        else []
    )
    return [
        *Order.objects.filter(order_number__in=orders).values_list("pk", flat=True),
        *Payment.objects.filter(trade_no__in=trades).values_list("order_id", flat=True),
    ]


def _by_cause(text: str) -> list[int]:
    causes = [text] if ":" in text else [f"request:{text}", f"task:{text}"]
    newest = find_newest_id(OrderEvent)
    caused = OrderEvent.objects.filter(pk__gt=newest - EVENTS_OF, cause__in=causes)
    return [
        *([] if text.startswith("task:") else _by_request(text.removeprefix("request:"))),
        *caused.values_list("order_id", flat=True)[: MAX_ROWS * 5],
    ]


def _by_request(request_id: str) -> list[int]:
    """The orders that an HTTP request placed, and those that a notification delivered by it was about."""
    placed = Order.objects.filter(pk__gt=find_newest_id(Order) - EVENTS_OF, trace_id=request_id)
    brought = Notification.objects.filter(
        pk__gt=find_newest_id(Notification) - NOTIFICATIONS_OF, request_id=request_id, payment__isnull=False
    )
    return [
        *placed.values_list("pk", flat=True)[:MAX_ROWS],
        *brought.values_list("payment__order_id", flat=True)[:MAX_ROWS],
    ]


def _find_requests(text: str, number: str) -> list[OrderRequest]:
    """Requests without an order, by the beginning of their number or by the HTTP request's id."""
    open_or_refused = OrderRequest.objects.exclude(status=OrderRequestStatus.CREATED).select_related(
        "account"
    )
    ident = text.partition(":")[2] or text
    newest = find_newest_id(OrderRequest)
    found = list(
        open_or_refused.filter(request_id=ident, pk__gt=newest - EVENTS_OF).order_by("-id")[:MAX_ROWS]
    )
    if _NUMBER.fullmatch(number):
        low, high = stretch(number)
        found += open_or_refused.filter(order_number__gte=low, order_number__lt=high).order_by(
            "-order_number"
        )[:MAX_ROWS]
    return list({request.pk: request for request in found}.values())


def _find_accounts(text: str) -> list[Account]:
    begins = [
        Account.objects.filter(username__startswith=text),
        Account.objects.exclude(email="").filter(email__istartswith=text),
        Account.objects.exclude(phone="").filter(phone__startswith=text),
    ]
    found = {account.pk: account for accounts in begins for account in accounts.order_by()[:MAX_ROWS]}
    return list(found.values())[:MAX_ROWS]


def _by_account(accounts: Sequence[Account]) -> list[int]:
    # A prefix that many accounts share would find everybody's orders.
    if not 0 < len(accounts) <= 3:
        return []
    return [
        pk
        for account in accounts
        for pk in Order.objects.filter(account=account)
        .order_by("-id")
        .values_list("pk", flat=True)[:MAX_ROWS]
    ]


def _by_course(courses: Sequence[Course]) -> list[int]:
    if not courses:
        return []
    newest = find_newest_id(OrderLine)
    lines = OrderLine.objects.filter(course__in=courses, pk__gt=newest - PARTS_OF).order_by("-id")
    return list(lines.values_list("order_id", flat=True)[:MAX_ROWS])
