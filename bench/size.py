"""How much is measured: enough for a good figure, or enough for a quick look."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Size:
    """Counts for one repetition. A window of less than three seconds is hard to trust."""

    repeats: int
    history_orders: int
    synchronous_orders: int
    saturated_orders: int
    light_s: float
    burst_buyers: int
    notifications: int
    poll_s: float
    carts: int
    floor_orders: int
    counted: int
    growth_history: tuple[int, int]
    growth_orders: int
    sweeps: int
    signatures: int


FULL = Size(
    repeats=3,
    history_orders=10_000,
    synchronous_orders=500,
    saturated_orders=3_000,
    light_s=8.0,
    burst_buyers=5_000,
    notifications=3_000,
    poll_s=3.0,
    carts=600,
    floor_orders=5_000,
    counted=1_000,
    growth_history=(10_000, 1_000_000),
    growth_orders=1_000,
    sweeps=300,
    signatures=3_000,
)
QUICK = Size(
    repeats=1,
    history_orders=10_000,
    synchronous_orders=250,
    saturated_orders=1_200,
    light_s=4.0,
    burst_buyers=3_000,
    notifications=1_200,
    poll_s=2.0,
    carts=300,
    floor_orders=3_000,
    counted=600,
    growth_history=(10_000, 100_000),
    growth_orders=500,
    sweeps=100,
    signatures=1_500,
)
WARM_UP = replace(QUICK, synchronous_orders=60, saturated_orders=200, notifications=100, poll_s=0.5, carts=30)
# Of each alternative of each choice. What comes of it is a ratio of pairs, so more pairs are worth more than longer ones.
CHOICE_FULL = replace(FULL, saturated_orders=1_500, light_s=2.0, burst_buyers=2_000, notifications=1_000, poll_s=1.5)
CHOICE_QUICK = replace(CHOICE_FULL, repeats=1, saturated_orders=1_000, notifications=600, signatures=1_500)
CHOICE_WARM_UP = replace(WARM_UP, light_s=0.5, burst_buyers=200, signatures=100)


def share_of(size: Size, share: float) -> Size:
    """So much of whatever is counted in units; what is counted in seconds stays."""
    return replace(
        size,
        saturated_orders=round(size.saturated_orders * share),
        notifications=round(size.notifications * share),
        signatures=round(size.signatures * share),
    )
