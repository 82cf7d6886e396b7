"""What is printed while it is measured."""

from bench.figures import Sample, shown


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
