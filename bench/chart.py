"""One picture: what an order costs, how long it takes, how a burst is taken, and whether age makes anything
dearer.
"""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.gates import GROWTH_MAX, growth_ratios
from bench.results import KINDS, Results, describe_quality, shown

COLOURS = {
    "web": "#3b6fb6",
    "worker": "#e08a3c",
    "beat": "#b8b8b8",
    "postgres": "#5a9e6f",
    "valkey": "#c25b56",
}
BARS = {"synchronous": "in the request", "orders saturated": "pipeline"}
CURVES = {
    "synchronous": ("in the request, saturated", "#8a8a8a"),
    "orders light": ("pipeline, 50 orders a second", "#e08a3c"),
}
GREY = "#666666"


def draw(results: Results, stage: str, histories: Sequence[str], path: Path) -> bool:
    """Draws what there is to see of the stage and of the growth; False when that is nothing."""
    bars, curves = ([row for row in rows if results.has(stage, row)] for rows in (BARS, CURVES))
    panels = [panel for panel, rows in ((_draw_cost, bars), (_draw_latency, curves)) if rows]
    panels += [_draw_burst] if results.has(stage, "orders burst") else []
    count = len(panels) + bool(histories)
    if not count:
        return False
    figure = Figure(
        figsize=(7.2 * min(count, 2), 4.8 * -(-count // 2)), dpi=110, layout="constrained", facecolor="white"
    )
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(-(-count // 2), min(count, 2), number + 1) for number in range(count)]
    for panel, where in zip(panels, axes, strict=False):
        panel(where, results, stage)
    if histories:
        _draw_growth(axes[-1], results, histories)
    for where in axes:
        where.spines[["top", "right"]].set_visible(False)
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
    rows = [row for row in BARS if results.has(stage, row)]
    for place, row in enumerate(rows):
        total, bottom = results.cpu_ms(stage, row), 0.0
        for kind in (kind for kind in KINDS if kind in COLOURS):
            part = results.cpu_ms(stage, row, kind).median
            axes.bar(
                place, part, bottom=bottom, width=0.58, color=COLOURS[kind], label=None if place else kind
            )
            bottom += part
        axes.text(
            place,
            max(bottom, total.greatest),
            f"{shown(total.median)} ms",
            ha="center",
            va="bottom",
            fontweight="bold",
        )
        axes.plot([place + 0.33] * 2, [total.least, total.greatest], color="black", linewidth=1.2)
    axes.set_xticks(range(len(rows)), [BARS[row] for row in rows])
    axes.set_ylabel("CPU ms per order, at speed 1")
    _title(axes, "What an order costs", "CPU of all server processes; the same rules and tables")


def _draw_latency(axes: Axes, results: Results, stage: str) -> None:
    for row in (row for row in CURVES if results.has(stage, row)):
        name, colour = CURVES[row]
        values = sorted(results.series(stage, row, "created_ms"))
        axes.plot(
            values,
            [(place + 1) / len(values) for place in range(len(values))],
            color=colour,
            linewidth=2,
            label=name,
        )
    axes.set_xscale("log")
    axes.grid(axis="x")
    axes.set_xlabel("ms from the request until the order exists")
    _title(axes, "How long an order takes", "share of the orders")


def _draw_burst(axes: Axes, results: Results, stage: str) -> None:
    for name, label, colour in (
        ("accepted_at_s", "accepted (202)", COLOURS["web"]),
        ("created_at_s", "created", COLOURS["worker"]),
    ):
        values = results.series(stage, "orders burst", name)
        axes.plot(
            values,
            range(1, len(values) + 1),
            color=colour,
            linewidth=2,
            label=f"{label}, the last after {values[-1]:.1f} s",
        )
    axes.grid()
    axes.set_xlabel("seconds")
    _title(axes, f"{len(values):,} buyers at once", "orders taken in, and orders made of them, over time")


def _draw_growth(axes: Axes, results: Results, histories: Sequence[str]) -> None:
    ratios = growth_ratios(results, *histories)
    for place, ratio in enumerate(ratios.values()):
        axes.barh(
            place,
            ratio.median,
            height=0.55,
            color=COLOURS["postgres" if ratio.median <= GROWTH_MAX else "valkey"],
        )
        axes.plot([ratio.least, ratio.greatest], [place, place], color="black", linewidth=1.2)
        axes.text(0.02, place, f"{ratio.median:.2f} ×", va="center", color="white", fontweight="bold")
    axes.axvline(GROWTH_MAX, color=COLOURS["valkey"], linewidth=1, linestyle="--")
    axes.set_yticks(range(len(ratios)), [name.removeprefix("growth ") for name in ratios])
    axes.invert_yaxis()
    axes.set_xlabel(f"CPU with {histories[1]} of history ÷ with {histories[0]}")
    _title(axes, "Whether age makes it dearer", f"1 = no; dashed: the most that is allowed, {GROWTH_MAX}")
