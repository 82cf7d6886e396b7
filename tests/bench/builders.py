"""Sample measurements."""

from collections.abc import Mapping, Sequence

from bench.meter import Window
from bench.results import Sample


def sample(
    row: str,
    cpu_ms: float,
    *,
    speed: float = 1.0,
    others: float = 0.0,
    wall_s: float = 3.0,
    figures: Mapping[str, float] | None = None,
    faults: Sequence[str] = (),
) -> Sample:
    """1,000 units that cost `cpu_ms` each at speed 1, all of it in the web process."""
    window = Window(wall_s=wall_s, cpu_s={"web": cpu_ms / speed}, speed=speed, others=others)
    return Sample(row, 1000, window, figures=figures or {}, faults=faults)
