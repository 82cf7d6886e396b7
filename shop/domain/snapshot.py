"""What a checkout shows, as it is stored: quotes written, and the courses and coupons of a purchase found again."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from shop.domain.coupons import StoredTerms
from shop.domain.pricing import Quote


@dataclass(frozen=True, slots=True)
class ShownCourse:
    """What a checkout shows of a course: the policy, its price in yuan as text, its period in days, and the coupons that fit it."""

    policy_id: int
    price: str
    valid_period: int
    coupons: Sequence[Mapping[str, Any]]


def quote_fields(
    quote: Quote, by_course: Mapping[int, int | None], global_record_id: int | None, periods: Mapping[int, int] | None = None
) -> dict[str, Any]:
    """A quote as the API shows it: yuan as strings, coupons by record id (0 for none), and each course's days if `periods` are given."""
    return {
        "list_total": str(quote.list_total),
        "course_discount": str(quote.course_discount),
        "global_discount": str(quote.global_discount),
        "coupon_record_id": global_record_id or 0,
        "beili": quote.beili,
        "beili_amount": str(quote.beili_amount),
        "beili_max": quote.beili_max,
        "alipay": str(quote.cash_due),
        "lines": [
            {
                **{name: str(value) if isinstance(value, Decimal) else value for name, value in asdict(line).items()},
                "coupon_record_id": by_course.get(line.course_id) or 0,
                **({"valid_period": periods[line.course_id]} if periods else {}),
            }
            for line in quote.lines
        ],
    }


def shown_courses(result: Mapping[str, Any]) -> dict[int, ShownCourse]:
    """Course id → what the result of a checkout shows of it."""
    entries = result["payment_list"]["policy_course_dict"].values()
    return {
        entry["course_id"]: ShownCourse(
            entry["policy_id"], entry["policy_price"], entry["policy_valid_period"], entry["coupon_record_list"]
        )
        for entry in entries
    }


def shown_global_coupons(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The global coupons that the result of a checkout shows."""
    return list(result["payment_list"]["global_coupon_record_dict"].values())


def shown_terms(entries: Sequence[Mapping[str, Any]], record_id: int | None) -> StoredTerms | None:
    """The terms of a coupon among those that are shown at a place, or None if it isn't there."""
    entry = next((entry for entry in entries if entry["id"] == record_id), None)
    if not record_id or entry is None:
        return None
    return [entry["coupon_type"], entry["money_equivalent_value"], entry["off_percent"], entry["minimum_consume"]]
