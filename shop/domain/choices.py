"""What a checkout costs with other coupons and 贝里 than the suggested ones: computed from its snapshot, nothing is written."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shop.domain.checkout import Checkout
from shop.domain.pricing import CouponTerms, LineInput, discount_of, price_order
from shop.domain.snapshot import quote_fields
from shop.errors import CheckoutMismatch, CheckoutNotReady, CouponNotApplicable, CouponUnavailable
from shop.money import ZERO
from shop.states import CouponType

# One coupon or course of the snapshot, as the API shows it.
Entry = Mapping[str, Any]


def quote_choices(
    *, checkout: Checkout, by_course: Mapping[int, int | None], global_record_id: int | None, beili: int, balance: int
) -> dict[str, Any]:
    """Prices the courses in `by_course` (course id → coupon record or None), a global coupon and `beili` 贝里, all of the snapshot.

    More `beili` than `balance`, or than fit, are cut to what can be used. Answers the quote as the API shows it, and beside it every
    global coupon as it stands on this subtotal.

    Raises:
        CheckoutNotReady: the checkout isn't ready.
        CheckoutMismatch: a course isn't part of it.
        CouponUnavailable: the snapshot doesn't know the coupon, its first day is still to come, or it is chosen twice.
        CouponNotApplicable: it belongs elsewhere, or would take nothing off.
    """
    if checkout.result is None or checkout.result["status"] != "ready":
        raise CheckoutNotReady
    courses: Mapping[str, Entry] = checkout.result["payment_list"]["policy_course_dict"]
    for course_id in by_course:
        if str(course_id) not in courses:
            raise CheckoutMismatch(course_id=course_id)
    _refuse_repeats([*by_course.values(), global_record_id])
    global_entries: Mapping[str, Entry] = checkout.result["payment_list"]["global_coupon_record_dict"]
    known = {entry["id"] for course in courses.values() for entry in course["coupon_record_list"]} | {int(key) for key in global_entries}

    lines = [_line(courses[str(course_id)], record_id, known) for course_id, record_id in by_course.items()]
    global_coupon = _find_entry(list(global_entries.values()), global_record_id, known, misplaced="not_a_global_coupon")
    quote = price_order(
        lines,
        None if global_coupon is None else _terms(global_coupon),
        beili=min(beili, balance),
        beili_per_yuan=checkout.result["beili_per_yuan"],
    )
    subtotal = quote.list_total - quote.course_discount
    return {
        "quote": quote_fields(quote, by_course, global_record_id),
        "global_coupon_record_dict": {key: _beside(entry, subtotal) for key, entry in global_entries.items()},
    }


def _refuse_repeats(record_ids: list[int | None]) -> None:
    chosen = [record_id for record_id in record_ids if record_id is not None]
    if len(set(chosen)) != len(chosen):
        raise CouponUnavailable(reason="twice_in_one_order")


def _line(course: Entry, record_id: int | None, known: set[int]) -> LineInput:
    entry = _find_entry(course["coupon_record_list"], record_id, known, misplaced="other_course")
    if entry is not None and not entry["applicable"]:
        raise CouponNotApplicable(coupon_record_id=record_id, course_id=course["course_id"], reason=entry["reason"])
    return LineInput(course["course_id"], Decimal(course["policy_price"]), None if entry is None else _terms(entry))


def _find_entry(entries: list[Entry], record_id: int | None, known: set[int], *, misplaced: str) -> Entry | None:
    if record_id is None:
        return None
    entry = next((entry for entry in entries if entry["id"] == record_id), None)
    if entry is None and record_id in known:
        raise CouponNotApplicable(coupon_record_id=record_id, reason=misplaced)
    if entry is None or entry["reason"] == "not_yet_valid":
        raise CouponUnavailable(coupon_record_id=record_id)
    return entry


def _terms(entry: Entry) -> CouponTerms:
    return CouponTerms(
        kind=CouponType(entry["coupon_type"]),
        value=Decimal(entry["money_equivalent_value"]),
        off_percent=entry["off_percent"],
        minimum=Decimal(entry["minimum_consume"]),
    )


def _beside(entry: Entry, subtotal: Decimal) -> Entry:
    """A global coupon's entry with its saving on this subtotal. The leading "none" and a coupon of later days stay as they are."""
    if not entry["id"] or entry["reason"] == "not_yet_valid":
        return entry
    try:
        saving, reason = discount_of(_terms(entry), subtotal), None
    except CouponNotApplicable as error:
        saving, reason = ZERO, error.details["reason"]
    return {**entry, "applicable": reason is None, "reason": reason, "saving": str(saving)}
