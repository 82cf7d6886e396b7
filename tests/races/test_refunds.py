"""Many concurrent refund requests for one course: one refund."""

import contextlib
from datetime import datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import QuerySet

from payments.domain.refunds import requesting, sending
from payments.domain.refunds.lines import pick_lines
from payments.gateways import ConfiguredGateways
from payments.models import Payment, Refund
from payments.states import RefundStatus
from shop.domain import locks as shop_locks
from shop.models import Order
from tests.factories import NOW, make_buyer, make_course, make_order
from tests.payments.memorygateway import MemoryGateway
from tests.payments.order_scenario import approve, ask_refund, assert_books_are_right, pay
from tests.races.crowd import count_kinds, run_at_once

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]

CROWD = 8


@pytest.fixture
def gateway() -> MemoryGateway:
    def now() -> datetime:
        return NOW

    return MemoryGateway(now, forbids_transactions=True)


@pytest.fixture
def order(gateway: MemoryGateway) -> Order:
    order = make_order(make_buyer(), make_course("30.00"), make_course("70.00"))
    pay(order, gateway)
    return order


def test_one_line_is_refunded_once(order: Order) -> None:
    course_id = order.lines.order_by("id").values_list("course_id", flat=True)[0]
    results = run_at_once([lambda: ask_refund(order, course_id) for _ in range(CROWD)])
    assert count_kinds(results) == {"ok": 1, "RefundLineTaken": CROWD - 1}
    assert Refund.objects.get().amount == Decimal("30.00")
    assert Payment.objects.get().refund_committed == Decimal("30.00")
    assert_books_are_right()


def test_one_refund_sent_by_many_workers_moves_its_money_once(order: Order, gateway: MemoryGateway) -> None:
    refund = approve(ask_refund(order))
    results = run_at_once(
        [
            lambda: sending.send_refund(
                refund.pk, gateways=ConfiguredGateways(gateway), now=NOW, cause="race"
            )
            for _ in range(CROWD)
        ]
    )
    assert count_kinds(results) == {"ok": CROWD}
    assert Refund.objects.get().status == RefundStatus.SUCCEEDED
    assert gateway.net == 0
    assert_books_are_right()


def test_control_without_lock_and_constraint_the_line_is_refunded_more_than_once(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same race without the order's lock and `refund_line_once`, paused between reading and writing."""
    import threading

    course_id = order.lines.order_by("id").values_list("course_id", flat=True)[0]
    everybody_has_read = threading.Barrier(2, timeout=60)

    def pick_slowly(*args: object) -> object:
        picked = pick_lines(*args)  # type: ignore[arg-type]
        with contextlib.suppress(threading.BrokenBarrierError):
            everybody_has_read.wait()
        return picked

    def no_lock(rows: QuerySet[Order], **options: object) -> QuerySet[Order]:
        return rows

    # Different numbers, so only the line itself could stop the second one.
    numbers = iter(["1", "2"])
    create = Refund.objects.create
    monkeypatch.setattr(
        Refund.objects, "create", lambda **fields: create(**fields | {"out_request_no": next(numbers)})
    )
    monkeypatch.setattr(requesting, "pick_lines", pick_slowly)
    monkeypatch.setattr(QuerySet, "select_for_update", no_lock)
    monkeypatch.setattr(shop_locks, "lock_accounts", lambda account_ids: {})
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'refund_line_once'")
        [(index,)] = cursor.fetchall()
        cursor.execute("DROP INDEX refund_line_once")
        try:
            results = run_at_once([lambda: ask_refund(order, course_id) for _ in range(2)])
            assert count_kinds(results) == {"ok": 2}
            assert Refund.objects.count() == 2
            assert Payment.objects.get().refund_committed == Decimal("60.00")
        finally:
            cursor.execute("TRUNCATE payments_refundline, payments_refund")
            cursor.execute(index)
