"""Bar charts over days, rendered as SVG on the server: no script, no third-party host, and a table with the
same numbers for readers who can't see the chart. Whole numbers throughout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

WIDTH, HEIGHT, BOTTOM, TOP = 720, 200, 20, 8
# The room left of the bars: at least this, or as much as the longest number of the axis takes.
LEFT, CHARACTER = 56, 7


@dataclass(frozen=True, slots=True)
class Series:
    """One colour of the bars. None marks a day that hasn't been counted yet."""

    title: str
    values: Sequence[int | None]


def stacked_bars(title: str, days: Sequence[str], series: Sequence[Series], *, unit: str = "") -> SafeString:
    """One bar per day, with the series stacked on top of each other: an SVG, its legend and a table.

    `days` are the labels of the bars; each series has one value per day.
    """
    totals = [sum(one.values[at] or 0 for one in series) for at in range(len(days))]
    top = _round_up(max([*totals, 1]))
    height = HEIGHT - BOTTOM - TOP
    numbers = [f"{top * part // 2:,}{unit}" for part in (0, 1, 2)]
    left = max(LEFT, CHARACTER * len(numbers[-1]) + 6)
    step = (WIDTH - left) // max(len(days), 1)
    bars = [
        bar
        for at in range(len(days))
        for bar in _bars(at, series, x=left + at * step, step=step, height=height, top=top)
    ]
    marks = [
        (left + at * step + step // 2, HEIGHT - 5, day)
        for at, day in enumerate(days)
        if at % max(len(days) // 8, 1) == 0
    ]
    lines = [(TOP + height - height * part // 2, number) for part, number in enumerate(numbers)]
    return format_html(
        '<svg class="desk-chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>{}{}',
        WIDTH,
        HEIGHT,
        title,
        format_html_join(
            "",
            '<line x1="{3}" y1="{0}" x2="{4}" y2="{0}"></line><text x="{1}" y="{5}" '
            'text-anchor="end">{2}</text>',
            ((y, left - 6, text, left, WIDTH, y + 4) for y, text in lines),
        ),
        format_html_join(
            "",
            '<rect class="{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
            (bar(days) for bar in bars),
        ),
        format_html_join("", '<text x="{}" y="{}" text-anchor="middle">{}</text>', marks),
        _legend(series),
        _table(title, days, series, unit),
    )


def _bars(at: int, series: Sequence[Series], *, x: int, step: int, height: int, top: int) -> Any:
    below = 0
    for number, one in enumerate(series, 1):
        value = one.values[at]
        if not value:
            continue
        # Both edges are rounded, rather than an edge and a height, so adjacent parts of a bar touch.
        low, high = height * below // top, height * (below + value) // top
        below += value
        place = (
            f"s{number}",
            x + 1,
            TOP + height - high,
            max(step - 2, 1),
            max(high - low, 1),
        )
        yield lambda days, place=place, one=one, value=value: (*place, f"{days[at]} {one.title} {value:,}")


def _round_up(value: int) -> int:
    """The next of 2, 4, 10, 20, 40, 100, …: even, so that half of it is a whole number for the middle
    line.
    """
    size = 1
    while True:
        for step in (2, 4, 10):
            if value <= step * size:
                return step * size
        size *= 10


def _legend(series: Sequence[Series]) -> SafeString:
    entries = format_html_join(
        "",
        '<span><i class="s{}"></i>{}</span>',
        ((number, one.title) for number, one in enumerate(series, 1)),
    )
    return format_html('<div class="desk-legend">{}</div>', entries)


def _table(title: str, days: Sequence[str], series: Sequence[Series], unit: str) -> SafeString:
    head = format_html_join(
        "", '<th class="num">{}</th>', ((f"{one.title}{unit and f'（{unit}）'}",) for one in series)
    )
    body = format_html_join(
        "",
        '<tr><th scope="row">{}</th>{}</tr>',
        (
            (
                day,
                format_html_join(
                    "", '<td class="num">{}</td>', ((_shown(one.values[at]),) for one in series)
                ),
            )
            for at, day in reversed(list(enumerate(days)))
        ),
    )
    return format_html(
        '<details><summary class="desk-small">{}</summary><div class="desk-scroll"><table '
        'class="desk-table"><thead><tr><th>{}</th>{}</tr></thead><tbody>{}</tbody></table></div></details>',
        gettext("表格：%(title)s") % {"title": title},
        gettext("日期"),
        head,
        body,
    )


def _shown(value: int | None) -> str:
    return "…" if value is None else f"{value:,}"
