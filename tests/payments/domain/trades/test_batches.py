"""A batch of notifications has the same result as the same notifications one by one, in the same order."""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from payments.domain.trades import expiry, inbox
from payments.gateways import ConfiguredGateways
from payments.models import Notification, Payment, Refund
from payments.states import Product
from shop.domain.orders import closing
from shop.models import Account, CouponRecord, Enrolment, LedgerTransfer, Order, OrderEvent
from tests.factories import NOW, make_buyer, make_coupon, make_course, make_order, make_record
from tests.payments.domain.conftest import Clock
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import assert_books_are_right, notify, start

# What is notified about an attempt. The trade has the attempt's own number unless another is given.
NEWS: dict[str, dict[str, str]] = {
    "paid": {},
    "finished": {"trade_status": "finished"},
    "closed": {"trade_status": "closed"},
    "waiting": {"trade_status": "waiting"},
    "wrong amount": {"total_amount": "0.01"},
    "wrong app": {"app_id": "9999"},
    "wrong seller": {"seller_id": "9999"},
    "partly refunded": {"refund_fee": "1.00"},
    "unknown": {"out_trade_no": "20260302UNKNOWN"},
    "another trade": {"trade_no": "20260302220019"},
    "paid without a time": {"gmt_payment": ""},
}
ATTEMPTS = (
    "plain", "another's", "with everything", "renewal", "renewal of two", "first of two", "second of two",
    "expired", "expired, beili gone", "cancelled",
    "paid",
)  # fmt: skip
# Mostly the common case: a payment, or its repeat.
TOLD = st.lists(
    st.tuples(st.sampled_from(ATTEMPTS), st.sampled_from(["paid"] * 12 + list(NEWS))), min_size=2, max_size=12
)
ALL_PAID = [(attempt, "paid") for attempt in ATTEMPTS]


@pytest.fixture
def attempts(gateway: MemoryGateway, db: None) -> dict[str, Payment]:
    return _attempts(gateway)


@pytest.fixture
def gateway(clock: Clock) -> MemoryGateway:
    return MemoryGateway(clock)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=TOLD)
@example(told=ALL_PAID)
@example(told=ALL_PAID[::-1])
@example(told=[("renewal", "paid"), ("plain", "paid"), ("renewal of two", "paid"), ("plain", "finished")])
@example(told=[("first of two", "paid"), ("second of two", "paid"), ("second of two", "closed")])
@example(told=[("second of two", "paid"), ("first of two", "paid")])
@example(told=[("plain", "another trade"), ("with everything", "another trade"), ("plain", "paid")])
@example(told=[("plain", "paid"), ("expired", "paid"), ("renewal", "paid"), ("expired, beili gone", "paid")])
def test_a_batch_leaves_what_one_by_one_leaves(
    gateway: MemoryGateway, attempts: dict[str, Payment], told: Sequence[tuple[str, str]]
) -> None:
    left = []
    for in_one_batch in (True, False):
        start_of_run = transaction.savepoint()
        ids = [_store(gateway, attempts[attempt], news, place) for place, (attempt, news) in enumerate(told)]
        for part in [ids] if in_one_batch else [[pk] for pk in ids]:
            inbox.apply_notifications(
                part, gateways=ConfiguredGateways(gateway), now=gateway.now(), cause="task:1"
            )
        left.append(_rows(attempts))
        assert_books_are_right()
        transaction.savepoint_rollback(start_of_run)
    assert left[0] == left[1]
    assert len(left[0]["notifications"]) == len(told) + 1


def _attempts(gateway: MemoryGateway) -> dict[str, Payment]:
    """Attempts to pay orders of three courses by two buyers, in all states in which a payment may find
    them.
    """
    clock = gateway.now
    assert isinstance(clock, Clock)
    buyer, other = make_buyer(beili=60), make_buyer(beili=9)
    first, second = make_course("20.00", period=30, name="一"), make_course("30.00", period=90, name="二")
    third = make_course("40.00", period=7, name='三 "quoted" {and} \\')
    over = make_order(buyer, second, first, beili=11, global_coupon=make_record(buyer), alipay="29.00")
    short = make_order(other, first, beili=9, alipay="11.00")
    attempts = {"expired": start(over, gateway), "expired, beili gone": start(short, gateway)}
    clock.now = max(over.closes_at, short.closes_at)
    expiry.close_due_orders(gateways=ConfiguredGateways(gateway), now=clock.now, cause="before")
    now = clock.now
    make_order(other, third, beili=9, alipay="31.00", now=now)

    def placed(account: Account, *courses: Any, **choices: Any) -> Order:
        return make_order(account, *courses, now=now, **choices)

    on_course = make_record(buyer, make_coupon(value="5", course=third))
    everything = placed(
        buyer,
        third,
        first,
        coupons={third.pk: on_course},
        global_coupon=make_record(buyer),
        beili=7,
        alipay="38.00",
    )  # ¥60, less 5, 10 and 7
    both = placed(buyer, second, beili=3, alipay="27.00")
    cancelled, paid = placed(other, second), placed(buyer, second)
    attempts |= {
        "plain": start(placed(buyer, first), gateway, now=now),
        "another's": start(placed(other, first), gateway, now=now),
        "with everything": start(everything, gateway, now=now),
        "renewal": start(placed(buyer, first), gateway, now=now),
        "renewal of two": start(placed(buyer, third, first), gateway, now=now),
        "first of two": start(both, gateway, now=now),
        "cancelled": start(cancelled, gateway, now=now),
        "paid": start(paid, gateway, now=now),
    }
    gateway.scan(attempts["first of two"].out_trade_no)
    attempts["second of two"] = start(both, gateway, product=Product.QR, now=now)
    closing.request_cancel(account_id=other.pk, order_number=cancelled.order_number, now=now, cause="before")
    expiry.close_due_orders(gateways=ConfiguredGateways(gateway), now=now, cause="before")
    gateway.pay(attempts["paid"].out_trade_no)
    notify(gateway, attempts["paid"], now=now)
    return attempts


def _store(gateway: MemoryGateway, payment: Payment, news: str, place: int) -> int:
    """Stores a separate notification in the inbox."""
    trade = gateway.trades.get(payment.out_trade_no)
    form = {
        "sign": "genuine", "notify_id": str(place), "seen": str(place), "app_id": gateway.app_id,
        "seller_id": gateway.seller_id,
        "trade_no": trade.trade_no if trade else f"T{payment.out_trade_no}",
        "out_trade_no": payment.out_trade_no, "trade_status": "paid", "total_amount": str(payment.amount),
        "gmt_payment": NOW.isoformat(),
    }  # fmt: skip
    form |= NEWS[news]
    assert inbox.store_notification(
        gateways=ConfiguredGateways(gateway),
        provider=gateway.name,
        headers={},
        body=urlencode(form).encode(),
        now=gateway.now(),
    )
    return Notification.objects.latest("pk").pk


def _rows(attempts: dict[str, Payment]) -> dict[str, Any]:
    """Everything that notifications can change, without ids, which differ between runs."""
    names = {payment.pk: name for name, payment in attempts.items()}
    orders = {payment.order_id: f"order of {name}" for name, payment in attempts.items()}
    courses = {
        pk: place
        for place, pk in enumerate(
            sorted({line.course_id for order in Order.objects.all() for line in order.lines.all()})
        )
    }
    told = Notification.objects.order_by("pk").values_list(
        "status", "reason", "payment", "handled_at", "available_at"
    )
    return {
        "notifications": [
            (status, reason, names.get(payment), handled_at, available_at)
            for status, reason, payment, handled_at, available_at in told
        ],
        "payments": {
            names[row.pk]: (
                row.status, row.trade_no and row.trade_no.removeprefix(f"T{row.out_trade_no}"), row.paid_at,
                row.closed_at, row.available_at,
                row.attempts, row.dead_at, row.is_surplus, row.refund_committed,
            )
            for row in Payment.objects.all()
        },
        "orders": {
            orders[row.pk]: (row.status, row.paid_at, row.closed_at, row.available_at, row.dead_at,
                row.version)
            for row in Order.objects.filter(pk__in=orders)
        },
        "accounts": list(Account.objects.order_by("pk").values_list("balance", "held_balance")),
        "records": list(CouponRecord.objects.order_by("pk").values_list("status", "used_at")),
        "enrolments": [
            (orders[row.order_line.order_id], courses[row.course_id], row.status, row.valid_from,
                row.valid_until, row.created_at)
            for row in Enrolment.objects.select_related("order_line").order_by("pk")
        ],
        "transfers": _grouped(
            (orders.get(row.order_id or 0, ""),
                (row.key.split(":")[0], row.debit, row.credit, row.amount, row.memo, row.created_at))
            for row in LedgerTransfer.objects.order_by("pk")
        ),
        "events": _grouped(
            (orders[row.order_id], (row.kind, row.at, row.cause, _plain(row.details, courses)))
            for row in OrderEvent.objects.filter(order__in=orders).order_by("pk")
        ),
        "refunds": [(names[row.payment_id or 0], row.amount, row.status,
                row.available_at) for row in Refund.objects.order_by("pk")],
    }  # fmt: skip


def _grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, list[Any]]:
    """The rows of each order, in the order in which they were written."""
    groups: dict[str, list[Any]] = {}
    for order, value in pairs:
        groups.setdefault(order, []).append(value)
    return groups


def _plain(details: dict[str, Any], courses: dict[int, int]) -> dict[str, Any]:
    """Without the numbers that differ in each run."""
    kept = {name: value for name, value in details.items() if name != "out_trade_no"}
    return kept | ({"course_id": courses[details["course_id"]]} if "course_id" in details else {})
