"""The unit of work has the price that the documents give, by the shop's own rules."""

from decimal import Decimal

from bench.seed import BEILI, CASH
from shop.domain.pricing.rules import CouponTerms, LineInput, price_order
from shop.states import CouponType


def test_unit_of_work() -> None:
    on_course = CouponTerms(CouponType.FIXED, value=Decimal(20))
    lines = [LineInput(1, Decimal("100.00"), on_course), LineInput(2, Decimal("298.00"))]
    quote = price_order(lines, CouponTerms(CouponType.PERCENT, off_percent=90), beili=BEILI, beili_per_yuan=1)
    assert (quote.list_total, quote.course_discount, quote.beili, quote.cash_due) == (
        Decimal("398.00"),
        Decimal(20),
        30,
        Decimal(CASH),
    )
