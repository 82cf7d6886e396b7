"""Tables that are looked at. What moves money or records it is written by the shop itself, never by a
form.
"""

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

# Pages beyond this are found by a filter or by the search, not by leafing.
MOST_COUNTED = 10_000
# A list that nobody has narrowed down to a time shows the newest rows: what it costs doesn't grow with the
# table.
WINDOW = 200_000
MOST_FOUND = 1000


class BoundedPaginator(PaginatorBase):
    """Counts up to `MOST_COUNTED` rows: an exact count of a large table would cost more than the page."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by("-pk")[:MOST_COUNTED].count())


class ReadOnly:
    """For rows that only the shop itself may write: nobody adds, changes or deletes one by hand, superusers
    included.
    """

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class IndexedSearch(AnyAdminBase):
    """Looks for a text in one column after the other, each by its index: "or" across tables would read all of
    them.
    """

    show_facets = ShowFacets.NEVER  # each would count the whole table

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
            # An index of what begins somehow leaves out the rows that have nothing.
            rows = rows.exclude(**{column: ""}) if how != "exact" else rows
            found.update(rows.order_by().values_list("pk", flat=True)[:MOST_FOUND])
        return queryset.filter(pk__in=found), False


class ReadOnlyAdmin(ReadOnly, IndexedSearch):
    """A table that is looked at, newest rows first.

    `whole_table` names the parameters of filters that have an index of their own, or bounds: with one of them
    the list isn't cut to the newest `WINDOW` rows.
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
        """Whether what is asked for is found by an index, however large the table is."""
        return any(request.GET.get(name) for name in self.whole_table)

    def get_window(self) -> int:
        """How many of the newest rows a list looks at that isn't narrow."""
        return WINDOW


def find_newest_id(model: type[Model]) -> int:
    """The highest id of the table, 0 if it is empty."""
    return int(model._default_manager.order_by("-pk").values_list("pk", flat=True).first() or 0)


class ReadOnlyInline(ReadOnly, AnyInlineBase):
    """Rows shown below the one that they belong to."""

    extra = 0
    can_delete = False
