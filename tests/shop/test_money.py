"""Fen, 贝里 and the allocation of amounts."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shop.money import allocate_fen, beili_within, to_fen, yuan_of_beili

FEN = st.integers(0, 10**7)
RATES = st.sampled_from([1, 2, 4, 5, 10, 20, 25, 50, 100])


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [
        ("20.790", "20.79"),
        ("0.005", "0.01"),
        ("0.004999", "0.00"),
        ("2.675", "2.68"),
        ("1", "1.00"),
        ("78.921", "78.92"),
    ],
)
def test_to_fen_rounds_half_up(amount: str, rounded: str) -> None:
    assert str(to_fen(Decimal(amount))) == rounded


@pytest.mark.parametrize(
    ("beili", "rate", "yuan"),
    [(18, 1, "18.00"), (100, 10, "10.00"), (1, 10, "0.10"), (1, 100, "0.01"), (0, 1, "0.00")],
)
def test_yuan_of_beili(beili: int, rate: int, yuan: str) -> None:
    assert str(yuan_of_beili(beili, rate)) == yuan


@pytest.mark.parametrize(
    ("amount", "rate", "beili"), [("118.11", 1, 118), ("118.11", 10, 1181), ("0.99", 1, 0), ("0.00", 1, 0)]
)
def test_beili_within_counts_whole_beili_only(amount: str, rate: int, beili: int) -> None:
    assert beili_within(Decimal(amount), rate) == beili


@given(fen=FEN, rate=RATES)
def test_beili_within_is_the_most_that_fits(fen: int, rate: int) -> None:
    amount = Decimal(fen).scaleb(-2)
    most = beili_within(amount, rate)
    assert yuan_of_beili(most, rate) <= amount < yuan_of_beili(most + 1, rate)


def test_allocate_fen_gives_the_largest_remainder_its_fen() -> None:
    shares = allocate_fen(Decimal("20.00"), {1: Decimal("78.21"), 2: Decimal("59.90")})
    assert shares == {1: Decimal("11.33"), 2: Decimal("8.67")}


def test_allocate_fen_breaks_ties_by_the_lower_key() -> None:
    weights = {3: Decimal("1.00"), 2: Decimal("1.00"), 1: Decimal("1.00")}
    assert allocate_fen(Decimal("0.01"), weights) == {
        1: Decimal("0.01"),
        2: Decimal("0.00"),
        3: Decimal("0.00"),
    }


def test_allocate_fen_spreads_nothing_over_nothing() -> None:
    assert allocate_fen(Decimal("0.00"), {1: Decimal("0.00")}) == {1: Decimal("0.00")}


@pytest.mark.parametrize("total", ["-0.01", "1.01"])
def test_allocate_fen_refuses_what_cannot_fit(total: str) -> None:
    with pytest.raises(ValueError, match="can't be spread"):
        allocate_fen(Decimal(total), {1: Decimal("1.00")})


@given(weights=st.dictionaries(st.integers(1, 99), FEN, min_size=1, max_size=8), data=st.data())
def test_allocate_fen_adds_up_and_stays_within_the_weights(
    weights: dict[int, int], data: st.DataObject
) -> None:
    total = Decimal(data.draw(st.integers(0, sum(weights.values())))).scaleb(-2)
    yuan = {key: Decimal(weight).scaleb(-2) for key, weight in weights.items()}
    shares = allocate_fen(total, yuan)
    assert sum(shares.values()) == total
    assert all(0 <= shares[key] <= yuan[key] for key in yuan)
    assert allocate_fen(total, dict(reversed(yuan.items()))) == shares
