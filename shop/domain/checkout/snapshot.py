"""What a checkout found: the courses, the buyer's coupons beside them, and the suggested quote.

One form in memory, one in Valkey.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from shop.domain.pricing.rules import CouponTerms, Quote, discount_of
from shop.errors import CouponNotApplicable
from shop.money import ZERO

# Why a coupon doesn't apply whose first day is still to come, whatever the amount.
NOT_YET_VALID = "not_yet_valid"


@dataclass(frozen=True, slots=True)
class CouponOption:
    """One of the buyer's coupons beside an amount.

    `saving` is yuan; `reason` says why it doesn't apply, None if it does.
    """

    record_id: int
    name: str
    terms: CouponTerms
    valid_from: date
    valid_until: date
    saving: Decimal
    reason: str | None

    def beside(self, amount: Decimal) -> "CouponOption":
        """The same coupon beside another amount."""
        if self.reason == NOT_YET_VALID:
            return self
        try:
            return replace(self, saving=discount_of(self.terms, amount), reason=None)
        except CouponNotApplicable as error:
            return replace(self, saving=ZERO, reason=str(error.details["reason"]))


@dataclass(frozen=True, slots=True)
class CourseOption:
    """One course of a checkout, with the chosen policy's price in yuan and period in days, and the coupons
    that fit it.
    """

    course_id: int
    course_name: str
    course_img: str
    policy_id: int
    price: Decimal
    valid_period: int
    coupons: tuple[CouponOption, ...]
    unpaid_order_number: str | None


@dataclass(frozen=True, slots=True)
class ChosenQuote:
    """A quote with the coupons that it stands on: record ids by course, and the global one.

    `periods` are each course's days, if it matters.
    """

    quote: Quote
    by_course: Mapping[int, int | None]
    global_record_id: int | None
    periods: Mapping[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """The form in a refusal's details and in the API: yuan as strings, 0 for no coupon."""
        quote = self.quote
        return {
            "list_total": str(quote.list_total),
            "course_discount": str(quote.course_discount),
            "global_discount": str(quote.global_discount),
            "coupon_record_id": self.global_record_id or 0,
            "beili": quote.beili,
            "beili_amount": str(quote.beili_amount),
            "beili_max": quote.beili_max,
            "alipay": str(quote.cash_due),
            "lines": [
                {
                    **{
                        name: str(value) if isinstance(value, Decimal) else value
                        for name, value in asdict(line).items()
                    },
                    "coupon_record_id": self.by_course.get(line.course_id) or 0,
                    **({"valid_period": self.periods[line.course_id]} if self.periods else {}),
                }
                for line in quote.lines
            ],
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A priced checkout.

    `balance` is the buyer's 贝里; `suggested` is the best combination of coupons, without 贝里.
    """

    balance: int
    beili_per_yuan: int
    courses: tuple[CourseOption, ...]
    global_coupons: tuple[CouponOption, ...]
    suggested: ChosenQuote

    def find_course(self, course_id: int) -> CourseOption | None:
        """The course, or None if the checkout doesn't have it."""
        return next((course for course in self.courses if course.course_id == course_id), None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a checkout couldn't be priced: a `DomainError` of `shop/errors.py`."""

    slug: str
    text: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a checkout: a snapshot or a refusal."""

    snapshot: Snapshot | None = None
    refusal: Refusal | None = None

    def to_json(self) -> bytes:
        """What is stored; `from_json` reads it."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, stored: bytes) -> "Result":
        return _DECODER.decode(stored)


_DECODER = msgspec.json.Decoder(Result)


def find_coupon(options: tuple[CouponOption, ...], record_id: int | None) -> CouponOption | None:
    """The coupon among these, or None if it isn't there."""
    return next((option for option in options if option.record_id == record_id), None)
