"""One picture: what an order costs, how long it takes, how a burst is taken, and whether age makes anything dearer."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from bench.doubt import describe_doubts
from bench.figures import Spread, percentile, shown
from bench.gates import GROWTH_MAX, growth_ratios
from bench.results import KINDS, Results

COLOURS = {"web": "#3b6fb6", "worker": "#e08a3c", "beat": "#b8b8b8", "postgres": "#5a9e6f", "valkey": "#c25b56", "flower": "#8d6cab"}
BARS = {
    "synchronous": "in the request",
    "orders saturated": "pipeline",
    "orders with Flower": "pipeline,\nwatched by Flower",
    "floor": "SQL alone\n(pgbench)",
}
# Name, colour, and where the numbers stand: to the right or the left of the curve.
CURVES = {
    "synchronous": ("in the request, saturated", "#8a8a8a", "left"),
    "orders light": ("pipeline, 50 orders a second", "#e08a3c", "right"),
}
INK, FAINT = "#222222", "#dddddd"
# A kind that takes less of the tallest bar than this has no room for its number.
LABEL_MIN_SHARE = 0.05


def draw(results: Results, stage: str, histories: Sequence[str], path: Path) -> bool:
    """Draws what there is to see of the stage and of the growth; False when that is nothing."""
    panels = []
    bars = [row for row in BARS if results.has(stage, row)]
    curves = [row for row in CURVES if results.has(stage, row)]
    if bars:
        panels.append(lambda axes: _draw_cost(axes, results, stage, bars))
    if curves:
        panels.append(lambda axes: _draw_latency(axes, results, stage, curves))
    if results.has(stage, "orders burst"):
        panels.append(lambda axes: _draw_burst(axes, results, stage))
    if histories:
        panels.append(lambda axes: _draw_growth(axes, growth_ratios(results, *histories), histories))
    if not panels:
        return False
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(7.2 * columns, 4.8 * rows), dpi=110, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15, wspace=0.04, hspace=0.05)
    FigureCanvasAgg(figure)
    for number, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=9)
        panel(axes)
    figure.supxlabel(_footnote(results, stage, histories), x=0.01, ha="left", fontsize=9, color="#666666")
    figure.savefig(path)
    return True


def _footnote(results: Results, stage: str, histories: Sequence[str]) -> str:
    """How much stands behind the picture."""
    counts = {len(samples) for label in (stage, *histories) for samples in results.samples.get(label, {}).values()}
    repetitions = "One repetition of each" if counts == {1} else f"Medians of {max(counts)} repetitions; thin lines: least to greatest"
    curves = "" if counts == {1} else "; curves: the repetition whose CPU time is the middle one"
    return f"{repetitions}{curves}. {describe_doubts(results.all()).partition(chr(10))[0]}".strip()


def _draw_legend(axes: Axes, handles: Sequence[Artist] | None = None, labels: Sequence[str] | None = None) -> None:
    """Below the panel, where nothing is drawn."""
    if handles is None or labels is None:
        handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles, labels, frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=len(labels), borderaxespad=0
    )


def _titled(axes: Axes, title: str, note: str) -> None:
    axes.set_title(f"{title}\n", loc="left", fontsize=13, fontweight="bold", color=INK)
    axes.text(0, 1.02, note, transform=axes.transAxes, fontsize=9, color="#666666")


def _draw_cost(axes: Axes, results: Results, stage: str, rows: Sequence[str]) -> None:
    totals = [results.cpu_ms(stage, row) for row in rows]
    tallest = max(total.greatest for total in totals)
    for place, (row, total) in enumerate(zip(rows, totals, strict=True)):
        bottom = 0.0
        for kind in KINDS:
            part = results.cpu_ms(stage, row, kind).median
            axes.bar(place, part, bottom=bottom, width=0.58, color=COLOURS[kind], label=kind if place == 0 or kind == "flower" else None)
            if part > LABEL_MIN_SHARE * tallest:
                axes.text(place, bottom + part / 2, shown(part), ha="center", va="center", color="white", fontsize=9)
            bottom += part
        axes.text(
            place,
            max(bottom, total.greatest) + 0.02 * tallest,
            f"{shown(total.median)} ms",
            ha="center",
            va="bottom",
            fontsize=11,
            fontweight="bold",
        )
        if total.count > 1:
            axes.plot([place + 0.33] * 2, [total.least, total.greatest], color=INK, linewidth=1.2)
    axes.set_xticks(range(len(rows)), [BARS[row] for row in rows], fontsize=10)
    axes.set_ylim(0, tallest * 1.12)  # room for the total
    axes.set_ylabel("CPU ms per order, at speed 1")
    seen = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    shown_kinds = [
        kind for kind in KINDS if kind in seen and any(results.cpu_ms(stage, row, kind).median > 0.005 * tallest for row in rows)
    ]
    _draw_legend(axes, [seen[kind] for kind in shown_kinds], shown_kinds)
    _titled(axes, "What an order costs", "CPU of all server processes; the same rules and tables")


def _draw_latency(axes: Axes, results: Results, stage: str, rows: Sequence[str]) -> None:
    for row in rows:
        name, colour, side = CURVES[row]
        values = sorted(results.series(stage, row, "created_ms"))
        axes.plot(values, [(place + 1) / len(values) for place in range(len(values))], color=colour, linewidth=2, label=name)
        middle, late = percentile(values, 0.5), percentile(values, 0.99)
        axes.plot([middle, late], [0.5, 0.99], "o", color=colour, markersize=5)
        for value, share in ((middle, 0.5), (late, 0.99)):
            place = (7, -9) if side == "left" else (-7, 4)
            axes.annotate(f"{shown(value)} ms", (value, share), xytext=place, textcoords="offset points", fontsize=9, color=colour, ha=side)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.0%}"))
    axes.grid(axis="x", color=FAINT, linewidth=0.8)
    axes.set_ylim(0, 1.06)
    axes.set_xlabel("ms from the request until the order exists")
    _draw_legend(axes)
    _titled(axes, "How long an order takes", "share of the orders; dots: half of them, and 99 of 100")


def _draw_burst(axes: Axes, results: Results, stage: str) -> None:
    accepted = results.series(stage, "orders burst", "accepted_at_s")
    created = results.series(stage, "orders burst", "created_at_s")
    for values, name, colour, side in (
        (accepted, "accepted (202)", COLOURS["web"], "right"),
        (created, "created", COLOURS["worker"], "left"),
    ):
        axes.plot(values, range(1, len(values) + 1), color=colour, linewidth=2, label=name)
        last = (values[-1], len(values))
        axes.annotate(f"{values[-1]:.1f} s", last, xytext=(0, 5), textcoords="offset points", fontsize=9, color=colour, ha=side)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_xlim(left=0)
    axes.set_ylim(0, len(accepted) * 1.1)
    axes.set_xlabel("seconds")
    axes.set_ylabel("orders")
    _draw_legend(axes)
    _titled(axes, f"{len(accepted):,} buyers at once", "orders taken in, and orders made of them, over time")


def _draw_growth(axes: Axes, ratios: dict[str, Spread], histories: Sequence[str]) -> None:
    names = [name.removeprefix("growth ") for name in ratios]
    for place, ratio in enumerate(ratios.values()):
        colour = COLOURS["postgres"] if ratio.median <= GROWTH_MAX else COLOURS["valkey"]
        axes.barh(place, ratio.median, height=0.55, color=colour)
        axes.plot([ratio.least, ratio.greatest], [place, place], color=INK, linewidth=1.2)
        axes.text(0.02, place, f"{ratio.median:.2f} ×", va="center", fontsize=10, color="white", fontweight="bold")
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.axvline(GROWTH_MAX, color=COLOURS["valkey"], linewidth=1, linestyle="--")
    axes.set_yticks(range(len(names)), names, fontsize=10)
    axes.invert_yaxis()
    axes.set_xlim(0, max([GROWTH_MAX, *(ratio.greatest for ratio in ratios.values())]) * 1.15)
    axes.set_xlabel(f"CPU with {histories[1]} of history ÷ with {histories[0]}")
    _titled(axes, "Whether age makes it dearer", f"1 = no; dashed: the most that is allowed, {GROWTH_MAX}")
