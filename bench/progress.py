"""What is printed while it is measured."""

import contextlib
import time
from collections.abc import Iterator

from bench.figures import Sample, shown


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """A line for something that isn't measured, with its seconds."""
    print(f"{title} …", end="", flush=True)
    started = time.monotonic()
    try:
        yield
    except BaseException:
        print(" failed", flush=True)
        raise
    print(f" {time.monotonic() - started:.1f} s", flush=True)


def tell(stage: str, sample: Sample, *, turn: str) -> None:
    """A line for a measurement, and one for each fault. Its figures go by the fastest speed seen until now."""
    window = sample.window
    rate = next((f", {shown(sample.figures[name])}/s" for name in ("orders_per_s", "per_s") if name in sample.figures), "")
    flag = " !" if window.is_disturbed else ""
    print(
        f"{stage}  {turn}  {sample.row:24} {shown(window.ms_per(sample.units)):>6} ms{rate}"
        f"  ({window.wall_s:.1f} s, speed {window.speed:.2f}, others {window.others:.2f}{flag})"
        + "".join(f"\n    {fault}" for fault in sample.faults),
        flush=True,
    )
