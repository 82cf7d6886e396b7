"""Read-only tables. Rows that move or record money are written by the shop itself, never by a form."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.admin import ShowFacets
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin, TabularInline

if TYPE_CHECKING:
    from django.contrib import admin

    AnyAdminBase = admin.ModelAdmin[Any]
    AnyInlineBase = admin.TabularInline[Any, Any]
    PaginatorBase = Paginator[Any]
else:  # Django's classes take no parameters at run time
    AnyAdminBase, AnyInlineBase, PaginatorBase = ModelAdmin, TabularInline, Paginator

# Rows beyond this are found by a filter or a search, not by paging.
MAX_COUNTED = 10_000
# An unfiltered list shows only the newest rows, so that its cost doesn't grow with the table.
WINDOW = 200_000
MAX_FOUND = 1000


class BoundedPaginator(PaginatorBase):
    """Counts up to `MAX_COUNTED` rows: an exact count of a large table would cost more than the page
    itself.
    """

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by("-pk")[:MAX_COUNTED].count())


class ReadOnly:
    """A mixin for rows that only the shop itself may write: nobody, superusers included, adds, changes or
    deletes one by hand.
    """

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class IndexedSearch(AnyAdminBase):
    """Searches one column after another, each through its index: a single OR across joined tables would scan
    them all.
    """

    show_facets = ShowFacets.NEVER  # each facet would count the whole table

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found: set[int] = set()
        for name in self.get_search_fields(request):
            column, _, how = (
                name.removeprefix("=").rpartition("__")
                if name.endswith("startswith")
                else (name.removeprefix("="), "", "exact")
            )
            rows = self.model._default_manager.filter(**{f"{column}__{how}": term})
            # The indexes for prefixes are partial: they leave out empty values.
            rows = rows.exclude(**{column: ""}) if how != "exact" else rows
            found.update(rows.order_by().values_list("pk", flat=True)[:MAX_FOUND])
        return queryset.filter(pk__in=found), False


class ReadOnlyAdmin(ReadOnly, IndexedSearch):
    """A read-only table, newest rows first.

    `whole_table` names the query parameters of filters that are served by an index or bounded otherwise: with
    one of them the list isn't limited to the newest `WINDOW` rows.
    """

    ordering: ClassVar[tuple[str | Combinable, ...]] = ("-id",)
    list_per_page = 50
    show_full_result_count = False
    paginator = BoundedPaginator
    list_fullwidth = True
    whole_table: ClassVar[tuple[str, ...]] = ("q", "day", "dead", "waiting")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and (match.url_name or "").endswith("_changelist")
        if not is_list or request.method != "GET" or self.is_narrow(request):
            return rows
        newest, window = find_newest_id(self.model), self.get_window()
        return rows if newest <= window else rows.filter(pk__gt=newest - window)

    def is_narrow(self, request: HttpRequest) -> bool:
        """Whether the request has one of the filters in `whole_table`."""
        return any(request.GET.get(name) for name in self.whole_table)

    def get_window(self) -> int:
        """How many of the newest rows an unfiltered list covers."""
        return WINDOW


def find_newest_id(model: type[Model]) -> int:
    """The highest id of the table, 0 if it is empty."""
    return int(model._default_manager.order_by("-pk").values_list("pk", flat=True).first() or 0)


class ReadOnlyInline(ReadOnly, AnyInlineBase):
    """Read-only rows shown below the row that they belong to."""

    extra = 0
    can_delete = False
