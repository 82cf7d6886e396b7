"""The cart."""

from datetime import timedelta
from decimal import Decimal

import pytest
import redis
from pytest_django import Settings

from shop.domain.checkout import cart
from shop.domain.checkout.cart import Choice
from shop.errors import (
    CartFull,
    CartLineNotFound,
    CourseNotFound,
    CourseNotOnSale,
    DomainError,
    PolicyNotFound,
)
from shop.models import Account, Course, PricePolicy
from shop.states import CourseStatus, CourseType
from tests.factories import NOW, make_buyer, make_course, make_order, make_policy, policy_of
from tests.unchanged import nothing_changes

pytestmark = pytest.mark.django_db


def add(account: Account, course: Course, policy: PricePolicy | None = None, *, minutes: int = 0) -> None:
    cart.add_to_cart(
        account=account,
        course_id=course.pk,
        policy_id=(policy or policy_of(course)).pk,
        now=NOW + timedelta(minutes=minutes),
    )


def test_add_stores_the_choice_and_the_price_seen(valkey: redis.Redis, settings: Settings) -> None:
    buyer, course = make_buyer(), make_course("99.00")
    add(buyer, course)
    assert cart.read_choices(account_id=buyer.pk) == {
        course.pk: Choice(course.pk, policy_of(course).pk, Decimal("99.00"))
    }
    assert settings.CART_TTL_S - 5 <= valkey.ttl(f"cart:{buyer.pk}") <= settings.CART_TTL_S


def test_add_again_chooses_another_policy() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    dearer = make_policy(course, "199.00", period=90)
    add(buyer, course)
    add(buyer, course, dearer)
    assert cart.read_choices(account_id=buyer.pk) == {
        course.pk: Choice(course.pk, dearer.pk, Decimal("199.00"))
    }


def test_choices_come_in_the_order_of_adding() -> None:
    buyer, first, second = make_buyer(), make_course(), make_course()
    add(buyer, second, minutes=0)
    add(buyer, first, minutes=1)
    assert list(cart.read_choices(account_id=buyer.pk)) == [second.pk, first.pk]


@pytest.mark.parametrize(
    ("status", "course_type", "refusal"),
    [
        (CourseStatus.OFFLINE, CourseType.PAID, CourseNotOnSale),
        (CourseStatus.PRESALE, CourseType.PAID, CourseNotOnSale),
        (CourseStatus.ONLINE, CourseType.VIP_ONLY, CourseNotOnSale),
    ],
)
def test_add_refuses_what_is_not_on_sale(
    status: CourseStatus, course_type: CourseType, refusal: type[DomainError]
) -> None:
    buyer, course = make_buyer(), make_course(status=status, course_type=course_type)
    with nothing_changes(), pytest.raises(refusal):
        add(buyer, course)


def test_degree_course_can_be_bought() -> None:
    buyer, course = make_buyer(), make_course(course_type=CourseType.DEGREE)
    add(buyer, course)
    assert list(cart.read_choices(account_id=buyer.pk)) == [course.pk]


def test_add_refuses_a_course_that_does_not_exist() -> None:
    buyer = make_buyer()
    with nothing_changes(), pytest.raises(CourseNotFound):
        cart.add_to_cart(account=buyer, course_id=2**62, policy_id=1, now=NOW)


def test_add_refuses_another_courses_policy() -> None:
    buyer, course, other = make_buyer(), make_course(), make_course()
    with nothing_changes(), pytest.raises(PolicyNotFound):
        add(buyer, course, policy_of(other))


def test_full_cart_refuses_another_course_but_not_another_policy(settings: Settings) -> None:
    settings.CART_MAX_LINES = 1
    buyer, course, other = make_buyer(), make_course(), make_course()
    add(buyer, course)
    with nothing_changes(), pytest.raises(CartFull) as refusal:
        add(buyer, other)
    assert refusal.value.details == {"limit": 1}
    dearer = make_policy(course, "199.00", period=90)
    add(buyer, course, dearer)
    assert cart.read_choices(account_id=buyer.pk)[course.pk].policy_id == dearer.pk


def test_change_policy() -> None:
    buyer, course = make_buyer(), make_course("99.00")
    dearer = make_policy(course, "199.00", period=90)
    add(buyer, course)
    cart.change_policy(account=buyer, course_id=course.pk, policy_id=dearer.pk, now=NOW)
    assert cart.read_choices(account_id=buyer.pk) == {
        course.pk: Choice(course.pk, dearer.pk, Decimal("199.00"))
    }


def test_change_policy_of_a_course_that_is_not_in_the_cart_keeps_it_out() -> None:
    buyer, course = make_buyer(), make_course()
    with nothing_changes(), pytest.raises(CartLineNotFound):
        cart.change_policy(account=buyer, course_id=course.pk, policy_id=policy_of(course).pk, now=NOW)


def test_remove_takes_out_the_named_courses_only() -> None:
    buyer, gone, kept = make_buyer(), make_course(), make_course()
    add(buyer, gone)
    add(buyer, kept)
    cart.remove_from_cart(account_id=buyer.pk, course_ids=[gone.pk, 12345])
    assert list(cart.read_choices(account_id=buyer.pk)) == [kept.pk]


def test_remove_nothing_changes_nothing() -> None:
    buyer, course = make_buyer(), make_course()
    add(buyer, course)
    with nothing_changes():
        cart.remove_from_cart(account_id=buyer.pk, course_ids=[])


def test_clear_empties_the_buyers_own_cart_only() -> None:
    buyer, other, course = make_buyer(), make_buyer(), make_course()
    add(buyer, course)
    add(other, course)
    cart.clear_cart(account=buyer)
    assert cart.read_choices(account_id=buyer.pk) == {}
    assert list(cart.read_choices(account_id=other.pk)) == [course.pk]


def test_list_shows_the_course_as_it_is_now() -> None:
    buyer, course = make_buyer(), make_course("99.00", name="旧名")
    add(buyer, course)
    Course.objects.filter(pk=course.pk).update(name="新名")
    (line,) = cart.list_cart(account=buyer, now=NOW)
    assert (line.course.name, [policy.pk for policy in line.policies], list(line.flags)) == (
        "新名",
        [policy_of(course).pk],
        [],
    )


def test_list_flags_what_changed_since_the_buyer_looked() -> None:
    buyer = make_buyer()
    offline, gone, dearer, owned = make_course(), make_course(), make_course("99.00"), make_course("0.00")
    make_order(buyer, owned)
    for minute, course in enumerate((offline, gone, dearer, owned)):
        add(buyer, course, minutes=minute)
    Course.objects.filter(pk=offline.pk).update(status=CourseStatus.OFFLINE)
    policy_of(gone).delete()
    PricePolicy.objects.filter(course=dearer).update(price="100.00")
    lines = cart.list_cart(account=buyer, now=NOW)
    assert [list(line.flags) for line in lines] == [
        ["offline"],
        ["policy_gone"],
        ["price_changed"],
        ["owned"],
    ]
    assert lines[2].choice.price_seen == Decimal("99.00")


def test_expired_enrolment_is_not_owned() -> None:
    buyer, course = make_buyer(), make_course("0.00", period=30)
    make_order(buyer, course)
    add(buyer, course)
    (line,) = cart.list_cart(account=buyer, now=NOW + timedelta(days=30))
    assert list(line.flags) == []


def test_list_leaves_out_a_course_that_no_longer_exists() -> None:
    buyer, course, kept = make_buyer(), make_course(), make_course()
    add(buyer, course)
    add(buyer, kept, minutes=1)
    policy_of(course).delete()
    course.delete()
    assert [line.course.pk for line in cart.list_cart(account=buyer, now=NOW)] == [kept.pk]


def test_looking_at_the_cart_keeps_it_alive(valkey: redis.Redis, settings: Settings) -> None:
    buyer, course = make_buyer(), make_course()
    add(buyer, course)
    valkey.expire(f"cart:{buyer.pk}", 10)
    cart.list_cart(account=buyer, now=NOW)
    assert valkey.ttl(f"cart:{buyer.pk}") > settings.CART_TTL_S - 5


def test_list_takes_one_statement_however_many_courses(django_assert_num_queries: object) -> None:
    buyer = make_buyer()
    for _ in range(5):
        add(buyer, make_course())
    with django_assert_num_queries(1):  # type: ignore[operator]
        cart.list_cart(account=buyer, now=NOW)
