"""Prices and coupons for property tests."""

from decimal import Decimal

from hypothesis import strategies as st

from shop.domain.pricing.rules import CouponTerms, LineInput
from shop.states import CouponType

RATES = st.sampled_from([1, 2, 4, 5, 10, 20, 25, 50, 100])


def yuan(least: int = 0, most: int = 100_000) -> st.SearchStrategy[Decimal]:
    """Amounts in yuan between these bounds in fen."""
    return st.integers(least, most).map(lambda fen: Decimal(fen).scaleb(-2))


def terms() -> st.SearchStrategy[CouponTerms]:
    """Coupons that the database allows."""
    return st.one_of(
        st.builds(CouponTerms, kind=st.just(CouponType.FIXED), value=yuan(1, 20_000)),
        st.builds(
            CouponTerms, kind=st.just(CouponType.THRESHOLD), value=yuan(1, 20_000), minimum=yuan(1, 50_000)
        ),
        st.builds(CouponTerms, kind=st.just(CouponType.PERCENT), off_percent=st.integers(1, 99)),
    )


def lines() -> st.SearchStrategy[list[LineInput]]:
    """One to six courses, some with a coupon."""
    return st.lists(
        st.builds(LineInput, course_id=st.integers(1, 50), price=yuan(), coupon=st.none() | terms()),
        min_size=1,
        max_size=6,
        unique_by=lambda line: line.course_id,
    )
