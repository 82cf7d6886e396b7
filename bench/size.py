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


FULL = Size(
    repeats=3,
    history_orders=10_000,
    synchronous_orders=400,
    saturated_orders=2_000,
    light_s=8.0,
    burst_buyers=5_000,
    notifications=1_600,
    poll_s=3.0,
    carts=300,
    floor_orders=5_000,
    counted=1_000,
    growth_history=(10_000, 1_000_000),
    growth_orders=1_000,
    sweeps=300,
)
QUICK = Size(
    repeats=1,
    history_orders=10_000,
    synchronous_orders=200,
    saturated_orders=1_000,
    light_s=4.0,
    burst_buyers=3_000,
    notifications=800,
    poll_s=2.0,
    carts=150,
    floor_orders=3_000,
    counted=600,
    growth_history=(10_000, 100_000),
    growth_orders=500,
    sweeps=100,
)
WARM_UP = replace(QUICK, synchronous_orders=60, saturated_orders=200, notifications=100, poll_s=0.5, carts=30)
