"""A buyer's enrolments, and the effect of refunds on them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shop.domain.enrolments import list_enrolments, revoke_enrolments
from shop.domain.ledger import list_beili_transfers
from shop.domain.ordering.intake import place_order
from shop.domain.orders.order_refunds import apply_refund
from shop.domain.pricing.refund_shares import Share, whole_part
from shop.domain.purchase import LineChoice, Purchase
from shop.models import Account, Course, Enrolment, Order, OrderLine
from shop.numbers import mint_number
from shop.states import CourseType
from tests.factories import (
    NOW,
    decide,
    finalise,
    make_buyer,
    make_course,
    make_order,
    make_paid_order,
    make_policy,
)
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def test_enrolments_newest_first_and_ones_own() -> None:
    buyer, first, second = make_buyer(), make_course("0.00"), make_course("0.00")
    make_order(buyer, first)
    make_order(buyer, second)
    make_order(make_buyer(), first)
    assert [enrolment.course for enrolment in list_enrolments(account=buyer)] == [second, first]


def test_transfers_are_of_beili_only() -> None:
    buyer = make_buyer(beili=100)
    make_order(buyer, make_course("99.00"), beili=99, alipay="0.00")
    assert [(row.debit, row.credit) for row in list_beili_transfers(account=buyer)] == [
        ("beili_held", "beili_spent"),
        ("beili_available", "beili_held"),
        ("beili_issued", "beili_available"),
    ]


def buy(buyer: Account, *courses: Course, at: datetime = NOW) -> Order:
    """A paid order; courses may be bought repeatedly."""
    return make_paid_order(buyer, *courses, now=at, buy_again=True)


def give_back(order: Order, *courses: Course, at: datetime) -> None:
    """Refunds the lines of these courses, or all."""
    order.refresh_from_db()
    lines = list(
        OrderLine.objects.filter(order=order, course__in=courses)
        if courses
        else OrderLine.objects.filter(order=order)
    )
    share = Share(sum((line.cash_amount for line in lines), Decimal("0.00")), 0)
    with transaction.atomic():
        apply_refund(
            order,
            [whole_part(line) for line in lines],
            share,
            key=f"{order}{lines[0].pk}",
            now=at,
            cause="test",
        )


def periods(buyer: Account, course: Course) -> list[tuple[float, float]]:
    """The active periods of a course, in days after NOW."""
    spans = Enrolment.objects.filter(account=buyer, course=course, status="active").order_by("valid_from")
    return [((one.valid_from - NOW) / DAY, (one.valid_until - NOW) / DAY) for one in spans]


@pytest.mark.parametrize(
    ("refunded", "day", "left"),
    [
        (0, 0, [(0, 30), (30, 60)]),
        (1, 0, [(0, 30), (30, 60)]),
        (2, 0, [(0, 30), (30, 60)]),
        (0, 10, [(10, 40), (40, 70)]),
        (1, 10, [(0, 30), (30, 60)]),
        (2, 10, [(0, 30), (30, 60)]),
        # The first has ended: its time is used, and nothing moves.
        (0, 40, [(30, 60), (60, 90)]),
        (1, 40, [(0, 30), (40, 70)]),
        (2, 40, [(0, 30), (30, 60)]),
    ],
)
def test_later_periods_move_up_by_what_the_refunded_one_had_left(
    refunded: int, day: int, left: list[tuple[float, float]]
) -> None:
    buyer, course = make_buyer(), make_course("10.00", period=30)
    purchases = [buy(buyer, course) for _ in range(3)]
    give_back(purchases[refunded], at=NOW + day * DAY)
    assert periods(buyer, course) == left


@pytest.mark.parametrize(
    ("refunded", "day", "left"),
    [
        (0, 0, [(9.5, 39.5), (39.5, 69.5)]),
        (1, 5, [(9.5, 39.5), (39.5, 69.5)]),
        (2, 5, [(9.5, 39.5), (39.5, 69.5)]),
        # A degree that has started is like any course.
        (0, 20, [(20, 50), (50, 80)]),
        (1, 20, [(9.5, 39.5), (39.5, 69.5)]),
    ],
)
def test_no_period_of_a_degree_moves_up_before_its_first_day(
    refunded: int, day: int, left: list[tuple[float, float]]
) -> None:
    """It starts at midnight in Shanghai, nine and a half days after NOW."""
    buyer, course = (
        make_buyer(),
        make_course("10.00", period=30, course_type=CourseType.DEGREE, starts_on=date(2026, 3, 12)),
    )
    purchases = [buy(buyer, course) for _ in range(3)]
    assert periods(buyer, course) == [(9.5, 39.5), (39.5, 69.5), (69.5, 99.5)]
    give_back(purchases[refunded], at=NOW + day * DAY)
    assert periods(buyer, course) == left


def test_first_day_that_staff_move_holds_for_later_purchases_only() -> None:
    buyer, course = (
        make_buyer(),
        make_course("10.00", period=30, course_type=CourseType.DEGREE, starts_on=date(2026, 4, 1)),
    )
    order = make_order(buyer, course)
    Course.objects.filter(pk=course.pk).update(starts_on=date(2026, 5, 1))
    finalise(order)
    assert Enrolment.objects.get().valid_from == datetime(2026, 3, 31, 16, tzinfo=UTC)


def test_third_purchase_starts_where_the_one_that_moved_up_ends() -> None:
    buyer, course = make_buyer(), make_course("10.00", period=30)
    first, _ = buy(buyer, course), buy(buyer, course)
    give_back(first, at=NOW)
    buy(buyer, course)
    assert periods(buyer, course) == [(0, 30), (30, 60)]


def test_each_course_of_an_order_has_its_own_chain() -> None:
    buyer, one, other = make_buyer(), make_course("10.00", period=30), make_course("10.00", period=90)
    first, _, alone = buy(buyer, one, other), buy(buyer, one, other), buy(make_buyer(), one)
    give_back(first, one, at=NOW + DAY)
    assert (periods(buyer, one), periods(buyer, other)) == ([(1, 31)], [(0, 90), (90, 180)])
    give_back(first, other, at=NOW + 2 * DAY)
    assert (periods(buyer, one), periods(buyer, other)) == ([(1, 31)], [(2, 92)])
    assert periods(alone.account, one) == [(0, 30)]


def test_moved_period_is_in_the_orders_timeline() -> None:
    buyer, course = make_buyer(), make_course("10.00", period=30)
    first, second = buy(buyer, course), buy(buyer, course)
    version = Order.objects.get(pk=second.pk).version
    give_back(first, at=NOW + DAY)
    moved = second.events.latest("pk")
    assert (moved.kind, moved.details["valid_from"], moved.details["valid_until"]) == (
        "enrolment_moved",
        (NOW + DAY).isoformat(),
        (NOW + 31 * DAY).isoformat(),
    )
    assert Order.objects.get(pk=second.pk).version == version + 1
    assert [entry.kind for entry in first.events.order_by("-pk")[:2]] == [
        "enrolment_revoked",
        "refund_succeeded",
    ]


def test_gap_that_was_left_before_closes_with_the_next_revocation() -> None:
    buyer, course = make_buyer(), make_course("10.00", period=30)
    _, second, third = buy(buyer, course), buy(buyer, course), buy(buyer, course)
    Enrolment.objects.filter(order_line__order=second).update(status="revoked", revoked_at=NOW)
    assert periods(buyer, course) == [(0, 30), (60, 90)]
    last = buy(buyer, course)
    give_back(last, at=NOW + DAY)
    assert periods(buyer, course) == [(0, 30), (30, 60)]
    assert third.events.latest("pk").kind == "enrolment_moved"


def test_revoking_twice_is_once() -> None:
    buyer, course = make_buyer(), make_course("10.00", period=30)
    lines = list(OrderLine.objects.filter(order=buy(buyer, course)))
    buy(buyer, course)
    assert list(revoke_enrolments(lines, now=NOW + DAY).course_ids) == [course.pk]
    with nothing_changes():
        assert list(revoke_enrolments(lines, now=NOW + 2 * DAY).course_ids) == []


@dataclass
class Bought:
    """A purchase in the model: how much of its time is neither used nor refunded, in hours."""

    order: Order
    left: int


DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), st.sampled_from([1, 3, 30])),
        st.tuples(st.just("refund"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.integers(1, 2000)),
    ),
    min_size=2,
    max_size=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(deeds=DEEDS)
def test_active_periods_have_no_gap_and_add_up_to_what_is_paid_and_unused(
    db: None, deeds: list[tuple[str, int]]
) -> None:
    buyer, now, bought = make_buyer(), NOW, list[Bought]()
    course = make_course("10.00", period=1)
    for period in (3, 30):
        make_policy(course, "10.00", period=period)
    for deed, number in deeds:
        if deed == "buy":
            bought.append(Bought(buy_period(buyer, course, number, at=now), 24 * number))
        elif deed == "refund" and bought:
            give_back(bought.pop(number % len(bought)).order, at=now)
        elif deed == "wait":
            now += timedelta(hours=number)
            pass_time(bought, number)
        spans = list(
            Enrolment.objects.filter(account=buyer, course=course, status="active", valid_until__gt=now)
            .order_by("valid_from")
            .values_list("order_line__order_id", "valid_from", "valid_until")
        )
        cursor = now
        for order_id, starts, ends in spans:
            assert starts == cursor or (starts < now and cursor == now)
            assert (ends - cursor) / timedelta(hours=1) == next(
                one.left for one in bought if one.order.pk == order_id
            )
            cursor = ends
        assert cursor - now == timedelta(hours=sum(one.left for one in bought))


def pass_time(bought: list[Bought], hours: int) -> None:
    for one in bought:
        used = min(one.left, hours)
        one.left, hours = one.left - used, hours - used


def buy_period(buyer: Account, course: Course, days: int, *, at: datetime) -> Order:
    """A paid order of the course's policy with this many days."""
    policy = course.price_policies.get(valid_period=days)
    purchase = Purchase([LineChoice(course.pk, policy.pk, None)], None, 0, policy.price, None, buy_again=True)
    request, _ = place_order(
        account=buyer, purchase=purchase, idempotency_key=mint_number(at), request_id="test", now=at
    )
    decide(request, now=at)
    order = Order.objects.get(request=request)
    finalise(order, now=at)
    return order
