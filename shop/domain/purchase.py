"""What a buyer asks for and agrees to: one form in memory, and one in the `body` of an order request."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shop.domain.pricing.rules import CouponTerms
from shop.states import CouponType

# In place of a policy, in what staff grant.
NO_POLICY = 0
# A request's body, as PostgreSQL keeps it.
Stored = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LineChoice:
    """One course that the buyer wants.

    `coupon_record_id` is None without a course coupon, `valid_period` unless the buyer names the days.
    """

    course_id: int
    policy_id: int
    coupon_record_id: int | None
    valid_period: int | None = None

    def to_json(self) -> list[int | None]:
        chosen = [self.course_id, self.policy_id, self.coupon_record_id]
        return chosen if self.valid_period is None else [*chosen, self.valid_period]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the checkout showed of a purchase: each course's price in yuan and period in days, and the chosen
    coupons' terms, by their ids.

    A coupon that is newer than the checkout isn't among them.
    """

    prices: Mapping[int, Decimal]
    periods: Mapping[int, int]
    coupons: Mapping[int, CouponTerms]


@dataclass(frozen=True, slots=True)
class Purchase:
    """What the buyer asks for and agrees to: `beili` 贝里 and `alipay` yuan, which must equal the server's
    own figures.

    `buy_again` says that a course which waits in another unpaid order is meant to be bought twice. `shown` is
    None without a checkout.
    """

    lines: Sequence[LineChoice]
    coupon_record_id: int | None
    beili: int
    alipay: Decimal
    checkout_id: str | None
    buy_again: bool = False
    shown: Shown | None = None

    @property
    def coupon_record_ids(self) -> list[int]:
        """Every coupon that the purchase names, as often as it names it."""
        ids = [line.coupon_record_id for line in self.lines]
        return [pk for pk in (*ids, self.coupon_record_id) if pk is not None]

    @property
    def fingerprint(self) -> str:
        """The same for the same request.

        What a checkout showed isn't part of it: a replay may come when the checkout is gone.
        """
        return hashlib.sha256(json.dumps(self._asked(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """What is stored; `from_json` reads it."""
        return {
            **self._asked(),
            **({"prices_seen": None} if self.shown is None else _shown_to_json(self.shown)),
        }

    @classmethod
    def from_json(cls, stored: Stored) -> "Purchase":
        """The purchase of a stored request, which an older version of this program may have written: it lacks
        what was added since.
        """
        return cls(
            lines=[LineChoice(*line) for line in stored["lines"]],
            coupon_record_id=stored["coupon_record_id"],
            beili=stored["beili"],
            alipay=Decimal(stored["alipay"]),
            checkout_id=stored.get("checkout_id"),
            buy_again=stored.get("buy_again", False),
            shown=_shown_from_json(stored),
        )

    def _asked(self) -> dict[str, Any]:
        return {
            "lines": [line.to_json() for line in self.lines],
            "coupon_record_id": self.coupon_record_id,
            "beili": self.beili,
            "alipay": str(self.alipay),
            "checkout_id": self.checkout_id,
            **({"buy_again": True} if self.buy_again else {}),
        }


def _shown_to_json(shown: Shown) -> dict[str, Any]:
    return {
        "prices_seen": {str(course_id): str(price) for course_id, price in shown.prices.items()},
        "periods_seen": {str(course_id): days for course_id, days in shown.periods.items()},
        "coupons_seen": {
            str(pk): [terms.kind.value, str(terms.value), terms.off_percent, str(terms.minimum)]
            for pk, terms in shown.coupons.items()
        },
    }


def _shown_from_json(stored: Stored) -> Shown | None:
    if stored.get("prices_seen") is None:
        return None
    return Shown(
        prices={int(course_id): Decimal(price) for course_id, price in stored["prices_seen"].items()},
        periods={int(course_id): days for course_id, days in stored.get("periods_seen", {}).items()},
        coupons={
            int(pk): CouponTerms(CouponType(kind), Decimal(value), off_percent, Decimal(minimum))
            for pk, (kind, value, off_percent, minimum) in stored.get("coupons_seen", {}).items()
        },
    )
