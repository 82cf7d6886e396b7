"""Python's garbage collector, told what kind of process this is."""

import gc

# A request or a batch makes thousands of objects and drops them all, nearly always without a cycle: looking
# for cycles after every 700 of them, and through the whole program after every seventieth time, is a tenth of
# its price.
YOUNG, MIDDLE, OLD = 10_000, 50, 100


def calm_collector() -> None:
    """Leaves what is loaded by now out of all collections, and collects the rest seldom.

    For processes that serve; call it when they start.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
