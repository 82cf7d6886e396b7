"""The cart: a hash per buyer in Valkey, a field per course. It keeps the choice and the price that the buyer saw, nothing else.

Each edit is one atomic command or script on one course, so two tabs never lose each other's line. Everything that is shown is read from
the database anew.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings

from shop import valkey
from shop.errors import CartFull, CartLineNotFound, CourseNotFound, CourseNotOnSale, PolicyNotFound
from shop.models import Account, Course, Enrolment, PricePolicy
from shop.states import EnrolmentStatus

# KEYS[1] cart; ARGV: field, value, largest size, TTL in s, "add" or "replace". Answers 1 done, 0 no such line, -1 full.
_PUT = """
local exists = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
if not exists and ARGV[5] == 'replace' then return 0 end
if not exists and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a buyer chose for one course. `price_seen` is yuan at that moment."""

    course_id: int
    policy_id: int
    price_seen: Decimal


@dataclass(frozen=True, slots=True)
class CartLine:
    """A choice beside the course as it is now. `flags` are `offline`, `policy_gone`, `price_changed`, `owned`."""

    choice: Choice
    course: Course
    policies: Sequence[PricePolicy]
    flags: Sequence[str]


def add_to_cart(*, account: Account, course_id: int, policy_id: int, now: datetime) -> None:
    """Puts a course in the cart, or chooses another policy if it is in already.

    Raises:
        CourseNotFound, CourseNotOnSale, PolicyNotFound, CartFull: nothing has changed.
    """
    _put(account, _checked_choice(course_id, policy_id), now=now, mode="add")


def change_policy(*, account: Account, course_id: int, policy_id: int, now: datetime) -> None:
    """Chooses another policy for a course that is in the cart.

    Raises:
        CartLineNotFound: it isn't (any more), and stays out.
        CourseNotFound, CourseNotOnSale, PolicyNotFound: nothing has changed.
    """
    _put(account, _checked_choice(course_id, policy_id), now=now, mode="replace")


def remove_from_cart(*, account_id: int, course_ids: Iterable[int]) -> None:
    """Takes courses out; those that aren't in are no error."""
    fields = [str(course_id) for course_id in course_ids]
    if fields:
        valkey.client().hdel(valkey.cart_key(account_id), *fields)


def clear_cart(*, account: Account) -> None:
    """Empties the cart."""
    valkey.client().delete(valkey.cart_key(account.pk))


def read_choices(*, account_id: int) -> dict[int, Choice]:
    """What is in the cart, by course id, in the order of adding."""
    stored: Mapping[str, str] = valkey.client().hgetall(valkey.cart_key(account_id))
    entries = [(json.loads(value), int(field)) for field, value in stored.items()]
    entries.sort(key=lambda entry: (entry[0]["added_at"], entry[1]))
    return {course_id: Choice(course_id, entry["policy_id"], Decimal(entry["price"])) for entry, course_id in entries}


def list_cart(*, account: Account, now: datetime) -> list[CartLine]:
    """The cart as it is now; a course that no longer exists is left out. Sliding: looking at it keeps it alive."""
    choices = read_choices(account_id=account.pk)
    valkey.client().expire(valkey.cart_key(account.pk), settings.CART_TTL_S)
    courses = Course.objects.prefetch_related("price_policies").in_bulk(list(choices))
    owned = set(
        Enrolment.objects.filter(account=account, course__in=courses, status=EnrolmentStatus.ACTIVE, valid_until__gt=now).values_list(
            "course_id", flat=True
        )
    )
    return [
        _line(choice, courses[choice.course_id], owned=choice.course_id in owned)
        for choice in choices.values()
        if choice.course_id in courses
    ]


def _line(choice: Choice, course: Course, *, owned: bool) -> CartLine:
    policies = list(course.price_policies.all())
    chosen = next((policy for policy in policies if policy.pk == choice.policy_id), None)
    flags = [
        flag
        for flag, holds in (
            ("offline", not course.is_sellable),
            ("policy_gone", chosen is None),
            ("price_changed", chosen is not None and chosen.price != choice.price_seen),
            ("owned", owned),
        )
        if holds
    ]
    return CartLine(choice, course, policies, flags)


def _checked_choice(course_id: int, policy_id: int) -> Choice:
    course = Course.objects.filter(pk=course_id).first()
    if course is None:
        raise CourseNotFound(course_id=course_id)
    if not course.is_sellable:
        raise CourseNotOnSale(course_id=course_id)
    policy = PricePolicy.objects.filter(pk=policy_id, course=course).first()
    if policy is None:
        raise PolicyNotFound(course_id=course_id, policy_id=policy_id)
    return Choice(course_id, policy_id, policy.price)


def _put(account: Account, choice: Choice, *, now: datetime, mode: str) -> None:
    value = json.dumps({"policy_id": choice.policy_id, "price": str(choice.price_seen), "added_at": now.isoformat()})
    outcome = valkey.client().eval(
        _PUT, 1, valkey.cart_key(account.pk), str(choice.course_id), value, str(settings.CART_MAX_LINES), str(settings.CART_TTL_S), mode
    )
    if outcome == 0:
        raise CartLineNotFound(course_id=choice.course_id)
    if outcome == -1:
        raise CartFull(limit=settings.CART_MAX_LINES)
