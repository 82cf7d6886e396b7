"""Tables as CSV that a spreadsheet opens directly, streamed in parts by id so that no statement or
transaction runs long.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.functional import Promise

from shop.desk.display import moment
from shop.desk.history import log_language
from shop.domain.measures.timerange import SLACK, find_first_id

# Without a byte order mark Excel decodes UTF-8 in the machine's legacy encoding.
BOM = "\ufeff"
PART = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Export:
    """One kind of export: `time` is the column of `model` with the time at which a row was added; `rows`
    returns what is exported for a list of ids, and `columns` are pairs of title and the function that reads
    the value.
    """

    name: str
    title: str | Promise
    model: type[Model]
    time: str
    rows: Callable[[Sequence[int]], QuerySet[Any]]
    columns: Sequence[tuple[str, Callable[[Any], Any]]]


def write_csv(export: Export, *, since: datetime, until: datetime) -> Iterator[str]:
    """The rows from `since` to just before `until` as lines of CSV."""
    writer: Any = csv.writer(_Echo())
    yield BOM + writer.writerow([title for title, _read in export.columns])
    for ids in _parts(export, since=since, until=until):
        # An export has one language, whatever the user's.
        with log_language():
            lines = "".join(
                writer.writerow([as_cell(read(row)) for _title, read in export.columns])
                for row in export.rows(ids)
            )
        yield lines


def count_at_most(export: Export, *, since: datetime, until: datetime) -> int:
    """An upper bound for the number of rows: the number of ids in the period."""
    first, end = _ends(export, since=since, until=until)
    return max(end - first, 0)


def _parts(export: Export, *, since: datetime, until: datetime) -> Iterator[list[int]]:
    first, end = _ends(export, since=since, until=until)
    last = first - 1
    while True:
        part = export.model._default_manager.filter(pk__gt=last, pk__lt=end).order_by("pk")
        found = list(part.values_list("pk", export.time)[:PART])
        if not found:
            return
        yield [pk for pk, at in found if since <= at < until]
        last = found[-1][0]


def _ends(export: Export, *, since: datetime, until: datetime) -> tuple[int, int]:
    """The first id that may be in the period, and the first one after it.

    The range is wider than the period: near its edges, ids and times may be in a different order.
    """
    first = find_first_id(export.model, export.time, since=since)
    return first, find_first_id(export.model, export.time, since=until + 2 * SLACK)


def as_cell(value: Any) -> str:
    """A value as a spreadsheet reads it: amounts as plain numbers, times in Beijing time, and no text that
    would be run as a formula.
    """
    match value:
        case None:
            return ""
        case datetime():
            return moment(value)
        case Decimal() | int():
            return str(value)
        case _:
            return defuse(str(value))


def defuse(text: str) -> str:
    """The text, prefixed with an apostrophe if a spreadsheet would run it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


class _Echo:
    """A file for `csv` whose `write` returns the line."""

    def write(self, line: str) -> str:
        return line
