"""Filters of the lists. Filters by time use ids, so that no list needs an index on a time."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib.admin import FieldListFilter, SimpleListFilter
from django.db.models import Field, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from shop import clock
from shop.domain.measures.timerange import find_first_id


class SinceFilter(FieldListFilter):
    """Rows added in the last hour, day, week, month or quarter."""

    TERMS = {"1h": (_("最近 1 小时"), timedelta(hours=1)), "1d": (_("最近 24 小时"), timedelta(days=1)),
        "7d": (_("最近 7 天"), timedelta(days=7)),
             "30d": (_("最近 30 天"), timedelta(days=30)),
             "90d": (_("最近 90 天"), timedelta(days=90))}  # fmt: skip
    parameter_name = "day"

    def __init__(
        self,
        field: "Field[Any, Any]",
        request: HttpRequest,
        params: dict[str, Any],
        model: Any,
        model_admin: Any,
        field_path: str,
    ) -> None:
        super().__init__(field, request, params, model, model_admin, field_path)
        self.model = model

    def expected_parameters(self) -> list[str | None]:
        return [self.parameter_name]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        term = self.TERMS.get(self._value())
        if term is None:
            return queryset
        since = clock.now() - term[1]
        first = find_first_id(self.model, self.field_path, since=since)
        return queryset.filter(pk__gte=first, **{f"{self.field_path}__gte": since})

    def choices(self, changelist: Any) -> Any:
        value = self._value()
        yield {
            "selected": not value,
            "query_string": changelist.get_query_string(remove=[self.parameter_name]),
            "display": _("全部"),
        }
        for name, (title, _term) in self.TERMS.items():
            query = changelist.get_query_string({self.parameter_name: name})
            yield {"selected": value == name, "query_string": query, "display": title}

    def _value(self) -> str:
        values = self.used_parameters.get(self.parameter_name) or [""]
        return str(values[0] if isinstance(values, list) else values)


def choose(
    parameter: str, title_text: Any, options: dict[str, tuple[Any, Callable[[], Q]]]
) -> type[SimpleListFilter]:
    """A filter with the given options by name, each with its label and its condition."""

    class Chosen(SimpleListFilter):
        title = title_text
        parameter_name = parameter

        def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
            return [(name, text) for name, (text, _condition) in options.items()]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            option = options.get(self.value() or "")
            return queryset if option is None else queryset.filter(option[1]())

    return Chosen


# Work that was given up after too many attempts; a partial index holds these rows.
DEAD = choose("dead", _("已放弃"), {"yes": (_("是，需人工处理"), lambda: Q(dead_at__isnull=False))})
