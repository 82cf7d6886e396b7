"""The best combination of coupons for a checkout: which one on which course, and which one on the whole.

The result is optimal for what buyers hold in practice. Course by course, the search keeps only the states
that no other state dominates, and takes at most `MAX_STEPS` steps in all; a buyer with dozens of
interchangeable coupons for dozens of courses gets a good combination instead of the best one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter

from shop.domain.pricing.rules import CouponTerms, discount_of
from shop.errors import CouponNotApplicable
from shop.money import ZERO

# About a second of work: a checkout waits for it, and its task's time limit is ten.
MAX_STEPS = 50_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """One coupon record that may go on a course."""

    record_id: int
    terms: CouponTerms


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`by_course` maps each course to a coupon record or None; `global_record_id` is None without a global
    coupon. `total` is yuan.
    """

    by_course: Mapping[int, int | None]
    global_record_id: int | None
    total: Decimal


@dataclass(frozen=True, slots=True)
class _State:
    taken: frozenset[int]
    choices: tuple[int | None, ...]
    subtotal: Decimal


def suggest(
    prices: Mapping[int, Decimal],
    course_coupons: Mapping[int, Sequence[Candidate]],
    global_coupons: Sequence[Candidate],
) -> Suggestion:
    """The combination with the lowest total, before 贝里.

    A record that fits several courses is used at most once.

    Args:
        prices: list price in yuan by course id.
        course_coupons: for each course the records that its buyer may use on it.
        global_coupons: the records that may be used on the whole order.
    """
    courses = sorted(prices)
    totals = (
        (total, state, global_id)
        for state in _course_states(courses, prices, course_coupons)
        for global_id, total in _with_global(state.subtotal, global_coupons)
    )
    total, state, global_id = min(totals, key=itemgetter(0))
    return Suggestion(dict(zip(courses, state.choices, strict=True)), global_id, total)


def _course_states(
    courses: Sequence[int], prices: Mapping[int, Decimal], course_coupons: Mapping[int, Sequence[Candidate]]
) -> list[_State]:
    shared = _shared_records(course_coupons)
    states = [_State(frozenset(), (), ZERO)]
    for course_id in courses:
        # Keyed by what matters for the courses to come (which shared records are gone) and for a global
        # threshold (the subtotal).
        found: dict[tuple[frozenset[int], Decimal], _State] = {}
        options = _line_options(prices[course_id], course_coupons.get(course_id, ()))
        for state in _most_promising(states, limit=max(2, MAX_STEPS // (len(courses) * len(options)))):
            for record_id, rest in options:
                if record_id in state.taken:
                    continue
                taken = state.taken | {record_id} if record_id in shared else state.taken
                successor = _State(taken, (*state.choices, record_id), state.subtotal + rest)
                found.setdefault((successor.taken, successor.subtotal), successor)
        states = sorted(found.values(), key=lambda state: (state.subtotal, len(state.taken)))
    return states


def _most_promising(states: Sequence[_State], *, limit: int) -> Sequence[_State]:
    """The cheapest ones, and the dearest one: it alone may reach a global coupon's threshold."""
    return states if len(states) <= limit else [*states[: limit - 1], states[-1]]


def _shared_records(course_coupons: Mapping[int, Sequence[Candidate]]) -> frozenset[int]:
    seen: set[int] = set()
    shared: set[int] = set()
    for candidates in course_coupons.values():
        for record_id in {candidate.record_id for candidate in candidates}:
            (shared if record_id in seen else seen).add(record_id)
    return frozenset(shared)


def _line_options(price: Decimal, candidates: Sequence[Candidate]) -> list[tuple[int | None, Decimal]]:
    options: list[tuple[int | None, Decimal]] = [(None, price)]
    for candidate in candidates:
        try:
            options.append((candidate.record_id, price - discount_of(candidate.terms, price)))
        except CouponNotApplicable:
            continue
    return options


def _with_global(subtotal: Decimal, global_coupons: Sequence[Candidate]) -> list[tuple[int | None, Decimal]]:
    totals: list[tuple[int | None, Decimal]] = [(None, subtotal)]
    for candidate in global_coupons:
        try:
            totals.append((candidate.record_id, subtotal - discount_of(candidate.terms, subtotal)))
        except CouponNotApplicable:
            continue
    return totals
