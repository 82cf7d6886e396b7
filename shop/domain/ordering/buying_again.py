"""Reorders what an order held: its courses go back into the cart, and straight on to a checkout."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from shop.domain.checkout import cart
from shop.domain.checkout.checkouts import Checkout, start_checkout
from shop.domain.orders.finding import missing_order
from shop.errors import CartFull, CourseNotOnSale
from shop.models import Account, OrderLine, PricePolicy


@dataclass(frozen=True, slots=True)
class BoughtAgain:
    """The checkout, and the ids of the courses that can't be bought any more."""

    checkout: Checkout
    left_out: Sequence[int]


def buy_again(*, account: Account, order_number: str, now: datetime) -> BoughtAgain:
    """Puts an order's courses in the cart, each with today's policy for the period that it had, and checks
    them out.

    Raises:
        OrderNotFound, OrderPending, OrderRejected: as `orders.get_order`.
        CourseNotOnSale: none of the courses can be bought any more; nothing has changed.
        CartFull: they don't fit; nothing has changed.
        TooManyRequests: the buyer checks out too often; the courses are in the cart.
    """
    lines = list(
        OrderLine.objects.filter(order__order_number=order_number, order__account=account).order_by("id")
    )
    if not lines:
        raise missing_order(account_id=account.pk, order_number=order_number)
    wanted = _offered(lines)
    if not wanted:
        raise CourseNotOnSale(course_ids=[line.course_id for line in lines])
    if len({*cart.read_choices(account_id=account.pk), *wanted}) > settings.CART_MAX_LINES:
        raise CartFull(limit=settings.CART_MAX_LINES)
    for course_id, policy in wanted.items():
        cart.add_to_cart(account=account, course_id=course_id, policy_id=policy.pk, now=now)
    started = start_checkout(account=account, course_ids=list(wanted), now=now)
    return BoughtAgain(started, [line.course_id for line in lines if line.course_id not in wanted])


def _offered(lines: Sequence[OrderLine]) -> dict[int, PricePolicy]:
    """Today's policy for each line whose course is on sale and still has one for the line's period."""
    policies = (
        PricePolicy.objects.filter(course_id__in=[line.course_id for line in lines])
        .select_related("course")
        .defer("course__syllabus")
    )
    by_period = {
        (policy.course_id, policy.valid_period): policy for policy in policies if policy.course.is_sellable
    }
    found = {line.course_id: by_period.get((line.course_id, line.valid_period)) for line in lines}
    return {course_id: policy for course_id, policy in found.items() if policy is not None}
