"""The scenarios and their sizes, for good figures or for a quick look.

Scenarios use only HTTP and SQL, so that they can measure any checkout of the project.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Size:
    """Counts for one repetition. A window of less than three seconds is unreliable."""

    repeats: int = 3
    synchronous_orders: int = 500
    saturated_orders: int = 3_000
    light_s: float = 8.0
    burst_buyers: int = 5_000
    notifications: int = 3_000
    poll_s: float = 3.0
    carts: int = 600
    histories: tuple[int, int] = (10_000, 1_000_000)
    growth_orders: int = 1_000
    sweeps: int = 300
    gateway_s: float = 20.0


FULL = Size()
QUICK = Size(1, 250, 1_200, 4.0, 3_000, 1_200, 2.0, 300, (10_000, 100_000), 500, 100, 10.0)
# For warming up: loads code, fills caches, opens connections.
SMALL = replace(QUICK, synchronous_orders=60, saturated_orders=200, notifications=100, poll_s=0.5, carts=30)
# For counting SQL statements, which don't depend on the speed.
COUNTED = replace(QUICK, light_s=0.5, burst_buyers=600, poll_s=0.2, carts=100)
