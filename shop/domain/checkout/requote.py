"""What a checkout costs with other coupons and 贝里 than the suggested ones: computed from its snapshot,
nothing is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shop.domain.checkout.checkouts import Checkout
from shop.domain.checkout.snapshot import (
    NOT_YET_VALID,
    ChosenQuote,
    CouponOption,
    CourseOption,
    Snapshot,
    find_coupon,
)
from shop.domain.pricing.rules import CouponTerms, LineInput, price_order
from shop.errors import CheckoutMismatch, CheckoutNotReady, CouponNotApplicable, CouponUnavailable


@dataclass(frozen=True, slots=True)
class Requote:
    """A quote for the buyer's choices, and every global coupon of the snapshot as it stands on their
    subtotal.
    """

    chosen: ChosenQuote
    global_coupons: tuple[CouponOption, ...]


def quote_choices(
    *,
    checkout: Checkout,
    by_course: Mapping[int, int | None],
    global_record_id: int | None,
    beili: int,
    balance: int,
) -> Requote:
    """Prices the courses in `by_course` (course id → coupon record or None), a global coupon and `beili`
    贝里, all of the snapshot.

    More `beili` than `balance`, or than fit, are cut to what can be used.

    Raises:
        CheckoutNotReady: the checkout isn't ready.
        CheckoutMismatch: a course isn't part of it.
        CouponUnavailable: the snapshot doesn't know the coupon, its first day is still to come, or it is
            chosen twice.
        CouponNotApplicable: it belongs elsewhere, or would take nothing off.
    """
    snapshot = checkout.snapshot
    if snapshot is None:
        raise CheckoutNotReady
    courses = [(_course(snapshot, course_id), record_id) for course_id, record_id in by_course.items()]
    _refuse_repeats([*by_course.values(), global_record_id])
    known = {option.record_id for course in snapshot.courses for option in course.coupons}
    known |= {option.record_id for option in snapshot.global_coupons}
    lines = [_line(course, record_id, known) for course, record_id in courses]
    global_coupon = _find_option(
        snapshot.global_coupons, global_record_id, known, misplaced="not_a_global_coupon"
    )
    quote = price_order(
        lines, _terms(global_coupon), beili=min(beili, balance), beili_per_yuan=snapshot.beili_per_yuan
    )
    subtotal = quote.list_total - quote.course_discount
    return Requote(
        ChosenQuote(quote, by_course, global_record_id),
        tuple(option.beside(subtotal) for option in snapshot.global_coupons),
    )


def _course(snapshot: Snapshot, course_id: int) -> CourseOption:
    course = snapshot.find_course(course_id)
    if course is None:
        raise CheckoutMismatch(course_id=course_id)
    return course


def _refuse_repeats(record_ids: list[int | None]) -> None:
    chosen = [record_id for record_id in record_ids if record_id is not None]
    if len(set(chosen)) != len(chosen):
        raise CouponUnavailable(reason="twice_in_one_order")


def _line(course: CourseOption, record_id: int | None, known: set[int]) -> LineInput:
    option = _find_option(course.coupons, record_id, known, misplaced="other_course")
    if option is not None and option.reason is not None:
        raise CouponNotApplicable(
            coupon_record_id=record_id, course_id=course.course_id, reason=option.reason
        )
    return LineInput(course.course_id, course.price, _terms(option))


def _terms(option: CouponOption | None) -> CouponTerms | None:
    return None if option is None else option.terms


def _find_option(
    options: tuple[CouponOption, ...], record_id: int | None, known: set[int], *, misplaced: str
) -> CouponOption | None:
    if record_id is None:
        return None
    option = find_coupon(options, record_id)
    if option is None and record_id in known:
        raise CouponNotApplicable(coupon_record_id=record_id, reason=misplaced)
    if option is None or option.reason == NOT_YET_VALID:
        raise CouponUnavailable(coupon_record_id=record_id)
    return option
