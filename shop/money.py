"""Money: yuan as Decimal with exactly two places, 贝里 as int. Never a float."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

FEN = Decimal("0.01")
ZERO = Decimal("0.00")
# The largest value of numeric(12, 2).
MAX_YUAN = Decimal("9999999999.99")
# The most that Alipay accepts for one trade.
MAX_PAYABLE = Decimal("100000000.00")


def to_fen(amount: Decimal) -> Decimal:
    """`amount` rounded to whole fen, half up, as cash registers do."""
    return amount.quantize(FEN, rounding=ROUND_HALF_UP)


def yuan_of_beili(beili: int, beili_per_yuan: int) -> Decimal:
    """The value of `beili` in yuan; exact, since `beili_per_yuan` divides 100."""
    return Decimal(beili * (100 // beili_per_yuan)).scaleb(-2)


def beili_within(amount: Decimal, beili_per_yuan: int) -> int:
    """The most 贝里 whose value doesn't exceed `amount` yuan."""
    return int(amount * 100) // (100 // beili_per_yuan)


def allocate_fen(total: Decimal, weights: Mapping[int, Decimal]) -> dict[int, Decimal]:
    """Spreads `total` over `weights` in proportion, to the fen, by the largest remainder method.

    The shares add up to `total`, and no share exceeds its weight. Ties go to the lower key, so the mapping's
    order doesn't matter.

    Raises:
        ValueError: `total` is negative or above the sum of the weights.
    """
    total_fen = int(total * 100)
    weights_fen = {key: int(weight * 100) for key, weight in weights.items()}
    sum_fen = sum(weights_fen.values())
    if not 0 <= total_fen <= sum_fen:
        raise ValueError(f"{total} can't be spread over weights that add up to {Decimal(sum_fen) / 100}")
    if total_fen == 0:
        return dict.fromkeys(weights, ZERO)
    shares = {key: total_fen * weight // sum_fen for key, weight in weights_fen.items()}
    by_remainder = sorted(weights_fen, key=lambda key: (-(total_fen * weights_fen[key] % sum_fen), key))
    for key in by_remainder[: total_fen - sum(shares.values())]:
        shares[key] += 1
    return {key: Decimal(share).scaleb(-2) for key, share in shares.items()}
