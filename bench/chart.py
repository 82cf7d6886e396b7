"""The chart: cost of an order, its latency, a burst over time, and the effect of a long history."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.gates import BURST, GROWTH_MAX, LIGHT, SATURATED, SYNCHRONOUS
from bench.results import Results, describe_quality, shown

COLOURS = {
    "web": "#3b6fb6", "worker": "#e08a3c", "beat": "#b8b8b8", "postgres": "#5a9e6f", "valkey": "#c25b56",
}  # fmt: skip
GREY = "#666666"


def draw(results: Results, stage: str, histories: Sequence[str], path: Path) -> bool:
    """Draws the panels for which there are samples; False if there are none."""
    wanted: list[tuple[Callable[..., None], Sequence[str], bool]] = [
        (_draw_cost, [stage], results.has(stage, SYNCHRONOUS, SATURATED)),
        (_draw_latency, [stage], results.has(stage, SYNCHRONOUS, LIGHT)),
        (_draw_burst, [stage], results.has(stage, BURST)),
        (_draw_growth, histories, bool(results.ratios(*histories))),
    ]
    panels = [(panel, stages) for panel, stages, is_there in wanted if is_there]
    if not panels:
        return False
    columns = min(len(panels), 2)
    rows = math.ceil(len(panels) / 2)
    figure = Figure(figsize=(7.2 * columns, 4.8 * rows), dpi=110, layout="constrained", facecolor="white")
    for place, (panel, stages) in enumerate(panels):
        axes = figure.add_subplot(rows, columns, place + 1)
        panel(axes, results, *stages)
        axes.spines[["top", "right"]].set_visible(False)
    footnote = "Medians; thin lines: least to greatest. " + describe_quality(results.all()).partition(":")[0]
    figure.supxlabel(footnote, x=0.01, ha="left", fontsize=9, color=GREY)
    figure.savefig(path)
    return True


def _title(axes: Axes, title: str, note: str) -> None:
    axes.set_title(f"{title}\n", loc="left", fontsize=13, fontweight="bold")
    axes.text(0, 1.02, note, transform=axes.transAxes, fontsize=9, color=GREY)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def _draw_cost(axes: Axes, results: Results, stage: str) -> None:
    for place, row in enumerate((SYNCHRONOUS, SATURATED)):
        total, bottom = results.cpu_ms(stage, row), 0.0
        for kind, colour in COLOURS.items():
            part = results.cpu_ms(stage, row, kind).median
            axes.bar(place, part, bottom=bottom, width=0.58, color=colour, label=None if place else kind)
            bottom += part
        top, text = max(bottom, total.greatest), f"{shown(total.median)} ms"
        axes.text(place, top, text, ha="center", va="bottom", fontweight="bold")
        axes.plot([place + 0.33] * 2, [total.least, total.greatest], color="black", linewidth=1.2)
    axes.set_xticks([0, 1], ["in the request", "pipeline"])
    axes.set_ylabel("CPU ms per order, at speed 1")
    _title(axes, "What an order costs", "CPU of all server processes; the same rules and tables")


def _draw_latency(axes: Axes, results: Results, stage: str) -> None:
    for row, series, label, colour in (
        (SYNCHRONOUS, "http_ms", "in the request, saturated", "#8a8a8a"),
        (LIGHT, "created_ms", "pipeline, 50 orders a second", COLOURS["worker"]),
    ):
        axes.ecdf(results.series(stage, row, series), color=colour, linewidth=2, label=label)
    axes.set_xscale("log")
    axes.grid(axis="x")
    axes.set_xlabel("ms from the request until the order exists")
    _title(axes, "How long an order takes", "share of the orders")


def _draw_burst(axes: Axes, results: Results, stage: str) -> None:
    for series, label, colour in (
        ("accepted_at_s", "accepted (202)", COLOURS["web"]),
        ("created_at_s", "created", COLOURS["worker"]),
    ):
        values = results.series(stage, BURST, series)
        last = f"{label}, the last after {values[-1]:.1f} s"
        axes.plot(values, range(1, len(values) + 1), color=colour, linewidth=2, label=last)
    axes.grid()
    axes.set_xlabel("seconds")
    _title(axes, f"{len(values):,} buyers at once", "accepted and created orders over time")


def _draw_growth(axes: Axes, results: Results, young: str, old: str) -> None:
    ratios = results.ratios(old, young)
    for place, ratio in enumerate(ratios.values()):
        colour = COLOURS["postgres" if ratio.median <= GROWTH_MAX else "valkey"]
        axes.barh(place, ratio.median, height=0.55, color=colour)
        axes.plot([ratio.least, ratio.greatest], [place, place], color="black", linewidth=1.2)
        axes.text(0.02, place, f"{ratio.median:.2f} ×", va="center", color="white", fontweight="bold")
    axes.axvline(GROWTH_MAX, color=COLOURS["valkey"], linewidth=1, linestyle="--")
    axes.set_yticks(range(len(ratios)), [row.removeprefix("growth ") for row in ratios])
    axes.invert_yaxis()
    axes.set_xlabel(f"CPU with {old} of history ÷ with {young}")
    _title(axes, "Cost with a long history", f"1 = no difference; dashed: the limit, {GROWTH_MAX}")
