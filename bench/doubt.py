"""Whether the machine was quiet and quick enough for the figures to say what they seem to say."""

from collections.abc import Sequence
from statistics import median

from bench.figures import Sample, shown
from bench.meter import OTHERS_MAX_CORES, SPEED_MIN, WALL_MIN_S


def doubt_of(samples: Sequence[Sample]) -> str:
    """In a few words why these measurements say little; empty when at least half of them are sound in each respect."""
    windows = [sample.window for sample in samples]
    reasons = []
    if 2 * sum(window.is_disturbed for window in windows) > len(windows):
        reasons.append(f"others {shown(median(window.others for window in windows))}")
    if 2 * sum(window.is_slow for window in windows) > len(windows):
        reasons.append(f"speed {shown(median(window.speed for window in windows))}")
    if 2 * sum(window.is_short for window in windows) > len(windows):
        reasons.append(f"{shown(median(window.wall_s for window in windows))} s")
    return ", ".join(reasons)


def describe_doubts(samples: Sequence[Sample]) -> str:
    """What to think of a whole run, in sentences; empty when every measurement is sound."""
    windows = [sample.window for sample in samples]
    disturbed, slow, short = (
        sum(window.is_disturbed for window in windows),
        sum(window.is_slow for window in windows),
        sum(window.is_short for window in windows),
    )
    said = []
    if disturbed:
        said.append(
            f"DISTURBED: in {disturbed} of {len(windows)} measurements other programs used more than {OTHERS_MAX_CORES} of a core (up to "
            f"{shown(max(window.others for window in windows))}).\nRates and latencies then say nothing, CPU times little. "
            "Measure again when the machine is quiet."
        )
    if slow:
        said.append(
            f"SLOW: in {slow} of {len(windows)} measurements the cores ran at less than {SPEED_MIN} of their speed (down to "
            f"{shown(min(window.speed for window in windows))}).\nCPU at speed 1 and ratios allow for that; rates per second and "
            "latencies can't."
        )
    if short:
        said.append(f"SHORT: {short} of {len(windows)} measurements took less than {WALL_MIN_S:.0f} s; their figures are coarse.")
    return "\n".join(said)
