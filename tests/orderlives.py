"""An order in each state that a poller can see, and the actions that lead to it."""

import itertools
from collections.abc import Callable, Mapping

from django.db import transaction

from shop import clock
from shop.domain.orders import closing, order_refunds
from shop.domain.pricing.refund_shares import Share, whole_part
from shop.models import Account, Order, OrderLine
from shop.states import CouponType
from tests.factories import decide, finalise, make_coupon, make_course, make_order, make_record, make_request

_serial = itertools.count(1)


def make_pending(buyer: Account) -> str:
    return make_request(buyer, make_course(), now=clock.now()).order_number


def make_rejected(buyer: Account) -> str:
    """Rejected, with the server's quote in its details."""
    request = make_request(buyer, make_course("10.00"), alipay="9.00", now=clock.now())
    decide(request, now=clock.now())
    return request.order_number


def make_waiting(buyer: Account) -> str:
    """Two courses, a course coupon and a global one; both courses' names need escaping in JSON."""
    first, second = (
        make_course("99.00", name=f'"甲" \\ </x>\n& {next(_serial)}'),
        make_course("59.90", name=f"乙\u2028\x7f😀 {next(_serial)}"),
    )
    on_course = make_record(buyer, make_coupon(CouponType.PERCENT, off_percent=79, course=first))
    on_order = make_record(buyer, make_coupon(CouponType.THRESHOLD, "20", minimum="100"))
    order = make_order(
        buyer,
        first,
        second,
        now=clock.now(),
        alipay="118.11",
        coupons={first.pk: on_course},
        global_coupon=on_order,
    )
    return order.order_number


def make_free(buyer: Account) -> str:
    """Paid by a coupon alone, when it was created."""
    record = make_record(buyer, make_coupon(CouponType.FIXED, "500"))
    return make_order(
        buyer, make_course("99.00"), now=clock.now(), alipay="0.00", global_coupon=record
    ).order_number


def make_paid(buyer: Account) -> str:
    return _after(buyer, finish)


def make_cancelling(buyer: Account) -> str:
    return _after(buyer, cancel)


def make_cancelled(buyer: Account) -> str:
    return _after(buyer, cancel, close)


def make_expired(buyer: Account) -> str:
    return _after(buyer, close)


def make_refunded(buyer: Account) -> str:
    return _after(buyer, finish, refund)


LIVES: Mapping[str, Callable[[Account], str]] = {
    "pending": make_pending,
    "rejected": make_rejected,
    "awaiting payment": make_waiting,
    "free": make_free,
    "paid": make_paid,
    "cancelling": make_cancelling,
    "cancelled": make_cancelled,
    "expired": make_expired,
    "refunded": make_refunded,
}


def finish(order_number: str) -> None:
    finalise(_order(order_number), now=clock.now())


def cancel(order_number: str) -> None:
    closing.request_cancel(
        account_id=_order(order_number).account_id, order_number=order_number, now=clock.now(), cause="test"
    )


def close(order_number: str) -> None:
    with transaction.atomic():
        closing.close_orders([_order(order_number)], now=clock.now(), cause="test")


def refund(order_number: str) -> None:
    """Refunds everything."""
    order, now = _order(order_number), clock.now()
    with transaction.atomic():
        parts = [whole_part(line) for line in OrderLine.objects.filter(order=order).order_by("id")]
        order_refunds.apply_refund(
            order, parts, Share(order.cash_due, order.beili), key=f"{order_number}R1", now=now, cause="test"
        )


def _after(buyer: Account, *deeds: Callable[[str], None]) -> str:
    order_number = make_waiting(buyer)
    for deed in deeds:
        deed(order_number)
    return order_number


def _order(order_number: str) -> Order:
    return Order.objects.get(order_number=order_number)
