"""The cart: a hash per buyer in Valkey, a field per course.

It stores the choice and the price that the buyer saw, nothing else.

Each edit is one atomic command or script on one course, so two tabs never lose each other's line. Everything
that is shown is read from the database each time.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings

from shop import valkey
from shop.domain import sql
from shop.domain.orders.unpaid import UNPAID
from shop.errors import CartFull, CartLineNotFound, CourseNotFound, CourseNotOnSale, PolicyNotFound
from shop.models import Account, Course, PricePolicy
from shop.states import EnrolmentStatus

# KEYS[1] cart; ARGV: field, value, largest size, TTL in s, "add" or "replace". Returns 1 when done, 0 without
# such a line, -1 when full.
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
    """A choice beside the course as it is now.

    `flags` are `offline`, `policy_gone`, `price_changed`, `owned`, `in_unpaid_order`.
    """

    choice: Choice
    course: Course
    policies: Sequence[PricePolicy]
    flags: Sequence[str]
    unpaid_order_number: str | None


def add_to_cart(*, account: Account, course_id: int, policy_id: int, now: datetime) -> list[CartLine]:
    """Puts a course in the cart, or chooses another policy if it is in already; returns the cart as
    `list_cart` does.

    Raises:
        CourseNotFound, CourseNotOnSale, PolicyNotFound, CartFull: nothing has changed.
    """
    return _choose(account, course_id, policy_id, now=now, mode="add")


def change_policy(*, account: Account, course_id: int, policy_id: int, now: datetime) -> list[CartLine]:
    """Chooses another policy for a course that is in the cart; returns the cart as `list_cart` does.

    Raises:
        CartLineNotFound: it isn't (any more), and stays out.
        CourseNotFound, CourseNotOnSale, PolicyNotFound: nothing has changed.
    """
    return _choose(account, course_id, policy_id, now=now, mode="replace")


def remove_from_cart(*, account_id: int, course_ids: Iterable[int]) -> None:
    """Removes courses; a course that isn't in the cart is no error."""
    fields = [str(course_id) for course_id in course_ids]
    if fields:
        valkey.client().hdel(valkey.cart_key(account_id), *fields)


def remove_from_carts(bought: Iterable[tuple[int, Sequence[int]]]) -> None:
    """Removes courses from many carts at once, each given as an account's id with course ids."""
    pipeline = valkey.client().pipeline(transaction=False)
    for account_id, course_ids in bought:
        pipeline.hdel(valkey.cart_key(account_id), *map(str, course_ids))
    pipeline.execute()


def clear_cart(*, account: Account) -> None:
    """Empties the cart."""
    valkey.client().delete(valkey.cart_key(account.pk))


def read_choices(*, account_id: int) -> dict[int, Choice]:
    """The cart's choices by course id, in the order in which they were added."""
    return _parsed(valkey.client().hgetall(valkey.cart_key(account_id)))


def read_many_choices(account_ids: Sequence[int]) -> list[dict[int, Choice]]:
    """The choices of many carts, each as `read_choices` returns them."""
    pipeline = valkey.client().pipeline(transaction=False)
    for account_id in account_ids:
        pipeline.hgetall(valkey.cart_key(account_id))
    return [_parsed(stored) for stored in pipeline.execute()]


def _parsed(stored: Mapping[str, str]) -> dict[int, Choice]:
    entries = [(json.loads(value), int(field)) for field, value in stored.items()]
    entries.sort(key=lambda entry: (entry[0]["added_at"], entry[1]))
    return {
        course_id: Choice(course_id, entry["policy_id"], Decimal(entry["price"]))
        for entry, course_id in entries
    }


def list_cart(*, account: Account, now: datetime) -> list[CartLine]:
    """The cart as it is now, without courses that no longer exist.

    Looking at it extends its lifetime.
    """
    choices = read_choices(account_id=account.pk)
    valkey.client().expire(valkey.cart_key(account.pk), settings.CART_TTL_S)
    shelf = _read_shelf(account, choices, now=now) if choices else {}
    return [
        _line(choice, shelf[choice.course_id]) for choice in choices.values() if choice.course_id in shelf
    ]


def _choose(account: Account, course_id: int, policy_id: int, *, now: datetime, mode: str) -> list[CartLine]:
    choices = read_choices(account_id=account.pk)
    shelf = _read_shelf(account, {*choices, course_id}, now=now)
    choice = _checked_choice(shelf, course_id, policy_id)
    _put(account, choice, now=now, mode=mode)
    shown = [kept for kept in choices.values() if kept.course_id != course_id and kept.course_id in shelf]
    return [_line(chosen, shelf[chosen.course_id]) for chosen in (*shown, choice)]


@dataclass(frozen=True, slots=True)
class _Offer:
    """A course as the database has it now, with its policies, shortest first, and whether the buyer has it
    already, and the buyer's newest unpaid order with it.
    """

    course: Course
    policies: list[PricePolicy]
    is_owned: bool
    unpaid_order_number: str | None


# A course's policies and its buyer's enrolment in one statement: the cart is looked at more often than
# anything is bought.
_SHELF = sql.statement(
    f"""
    SELECT course.id, course.name, course.course_img, course.course_type, course.status, policy.id,
        policy.valid_period, policy.price,
        EXISTS (
            SELECT FROM shop_enrolment AS enrolment
            WHERE enrolment.account_id = %s AND enrolment.course_id = course.id
                AND enrolment.status = {{EnrolmentStatus.ACTIVE}} AND enrolment.valid_until > %s
        ), unpaid.order_number
    FROM shop_course AS course LEFT JOIN shop_pricepolicy AS policy ON policy.course_id = course.id
    CROSS JOIN LATERAL ({UNPAID.format(account="%s", course="course.id")}) AS unpaid
    WHERE course.id = ANY(%s) ORDER BY course.id, policy.valid_period
""",  # noqa: S608 - ours
    EnrolmentStatus,
)


def _read_shelf(account: Account, course_ids: Iterable[int], *, now: datetime) -> dict[int, _Offer]:
    shelf: dict[int, _Offer] = {}
    for course_id, *shown, policy_id, valid_period, price, is_owned, unpaid in sql.read(
        _SHELF, [account.pk, now, account.pk, list(course_ids)]
    ):
        if course_id not in shelf:
            name, course_img, course_type, status = shown
            course = Course(
                id=course_id, name=name, course_img=course_img, course_type=course_type, status=status
            )
            shelf[course_id] = _Offer(course, [], is_owned, unpaid)
        if policy_id is not None:
            policy = PricePolicy(id=policy_id, course_id=course_id, valid_period=valid_period, price=price)
            shelf[course_id].policies.append(policy)
    return shelf


def _line(choice: Choice, offer: _Offer) -> CartLine:
    chosen = _find_policy(offer, choice.policy_id)
    flags = [
        flag
        for flag, holds in (
            ("offline", not offer.course.is_sellable),
            ("policy_gone", chosen is None),
            ("price_changed", chosen is not None and chosen.price != choice.price_seen),
            ("owned", offer.is_owned),
            ("in_unpaid_order", offer.unpaid_order_number is not None),
        )
        if holds
    ]
    return CartLine(choice, offer.course, offer.policies, flags, offer.unpaid_order_number)


def _checked_choice(shelf: Mapping[int, _Offer], course_id: int, policy_id: int) -> Choice:
    offer = shelf.get(course_id)
    if offer is None:
        raise CourseNotFound(course_id=course_id)
    if not offer.course.is_sellable:
        raise CourseNotOnSale(course_id=course_id)
    policy = _find_policy(offer, policy_id)
    if policy is None:
        raise PolicyNotFound(course_id=course_id, policy_id=policy_id)
    return Choice(course_id, policy_id, policy.price)


def _find_policy(offer: _Offer, policy_id: int) -> PricePolicy | None:
    return next((policy for policy in offer.policies if policy.pk == policy_id), None)


def _put(account: Account, choice: Choice, *, now: datetime, mode: str) -> None:
    value = json.dumps(
        {"policy_id": choice.policy_id, "price": str(choice.price_seen), "added_at": now.isoformat()}
    )
    outcome = valkey.client().eval(
        _PUT,
        1,
        valkey.cart_key(account.pk),
        str(choice.course_id),
        value,
        str(settings.CART_MAX_LINES),
        str(settings.CART_TTL_S),
        mode,
    )
    if outcome == 0:
        raise CartLineNotFound(course_id=choice.course_id)
    if outcome == -1:
        raise CartFull(limit=settings.CART_MAX_LINES)
