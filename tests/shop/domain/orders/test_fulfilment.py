"""Finalising paid orders."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from shop.domain.orders.fulfilment import finalise_orders
from shop.errors import StaleState
from shop.models import Account, CouponRecord, Enrolment, LedgerTransfer, Order
from shop.states import CouponRecordStatus, EnrolmentStatus, OrderStatus
from tests.factories import NOW, make_buyer, make_course, make_order, make_record
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
LATER = NOW + timedelta(minutes=5)


def finalise(*orders: Order) -> None:
    with transaction.atomic():
        finalise_orders(orders, now=LATER, cause="task:1")


def test_paid_order_uses_coupons_captures_beili_and_opens_courses() -> None:
    buyer, course = make_buyer(beili=10), make_course("99.00", period=30)
    record = make_record(buyer)
    order = make_order(buyer, course, beili=9, global_coupon=record, alipay="80.00")
    finalise(order)
    order.refresh_from_db()
    record.refresh_from_db()
    assert (order.status, order.paid_at, order.available_at, order.version) == (
        OrderStatus.PAID,
        LATER,
        None,
        2,
    )
    assert (record.status, record.used_at) == (CouponRecordStatus.USED, LATER)
    assert Account.objects.filter(pk=buyer.pk).values_list("balance", "held_balance").get() == (1, 0)
    enrolment = Enrolment.objects.get()
    assert (enrolment.account, enrolment.course, enrolment.valid_from, enrolment.valid_until) == (
        buyer,
        course,
        LATER,
        LATER + 30 * DAY,
    )
    legs = LedgerTransfer.objects.filter(order=order).values_list("debit", "credit", "amount")
    assert list(legs) == [
        ("beili_available", "beili_held", Decimal("9.00")),
        ("beili_held", "beili_spent", Decimal("9.00")),
        ("coupon_subsidy", "sales", Decimal("10.00")),
        ("beili_redeemed", "sales", Decimal("9.00")),
        ("unapplied", "sales", Decimal("80.00")),
    ]
    last = list(order.events.values_list("kind", "cause", "details"))[-2:]
    assert last == [
        ("paid", "task:1", {"alipay": "80.00", "beili": 9}),
        (
            "enrolled",
            "task:1",
            {
                "course_id": course.pk,
                "course_name": course.name,
                "valid_until": enrolment.valid_until.isoformat(timespec="seconds"),
            },
        ),
    ]


def test_nothing_to_finalise_changes_nothing() -> None:
    with nothing_changes():
        finalise()


def test_paid_order_is_not_finalised_again() -> None:
    order = make_order(make_buyer(), make_course())
    finalise(order)
    with nothing_changes(), pytest.raises(StaleState):
        finalise(order)


def test_one_stale_order_rolls_the_whole_batch_back() -> None:
    buyer = make_buyer()
    good, stale = make_order(buyer, make_course()), make_order(buyer, make_course("0.00"))
    with nothing_changes(), pytest.raises(StaleState):
        finalise(good, stale)


def test_coupon_that_is_not_reserved_any_more_stops_it() -> None:
    buyer = make_buyer()
    order = make_order(buyer, make_course("99.00"), global_coupon=make_record(buyer), alipay="89.00")
    CouponRecord.objects.update(status=CouponRecordStatus.USED, used_at=NOW)
    with nothing_changes(), pytest.raises(StaleState):
        finalise(order)


def test_renewal_starts_where_the_last_one_ends() -> None:
    buyer, course = make_buyer(), make_course("10.00", period=30)
    finalise(make_order(buyer, course))
    finalise(make_order(buyer, course))
    spans = Enrolment.objects.order_by("pk").values_list("valid_from", "valid_until")
    assert list(spans) == [(LATER, LATER + 30 * DAY), (LATER + 30 * DAY, LATER + 60 * DAY)]


@pytest.mark.parametrize(
    "change",
    [{"valid_until": LATER}, {"status": EnrolmentStatus.REVOKED, "revoked_at": LATER}],
    ids=["over", "revoked"],
)
def test_enrolment_that_is_over_or_revoked_is_not_extended(change: dict[str, object]) -> None:
    buyer, course = make_buyer(), make_course("10.00", period=30)
    finalise(make_order(buyer, course))
    Enrolment.objects.update(valid_from=LATER - DAY, **change)
    finalise(make_order(buyer, course))
    newest = Enrolment.objects.order_by("pk").last()
    assert newest is not None
    assert (newest.valid_from, newest.valid_until) == (LATER, LATER + 30 * DAY)


def test_another_buyers_enrolment_is_not_extended() -> None:
    course = make_course("10.00", period=30)
    finalise(make_order(make_buyer(), course), make_order(make_buyer(), course))
    assert list(Enrolment.objects.values_list("valid_from", flat=True)) == [LATER, LATER]


def test_two_orders_of_one_buyer_in_a_batch_capture_both() -> None:
    buyer = make_buyer(beili=10)
    orders = [make_order(buyer, make_course("9.00"), beili=4, alipay="5.00") for _ in range(2)]
    finalise(*orders)
    assert Account.objects.filter(pk=buyer.pk).values_list("balance", "held_balance").get() == (2, 0)
