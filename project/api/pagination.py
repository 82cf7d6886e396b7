"""Lists come in pages."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from shop.api.fields import PageFilter, read_query


class Pages(PageNumberPagination):
    """`?page=` and `?page_size=` (at most 100); answers `{count, page, page_size, results}`."""

    page_size_query_param = "page_size"
    max_page_size = 100

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: APIView | None = None
    ) -> list[Any] | None:
        self._wanted = read_query(request, getattr(view, "filter_class", PageFilter))
        return super().paginate_queryset(queryset, request, view)

    def get_page_size(self, request: Request) -> int | None:
        size: int | None = self._wanted.get("page_size", self.page_size)
        return size

    def get_page_number(self, request: Request, paginator: Any) -> int:
        number: int = self._wanted.get("page", 1)
        return number

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        limits = {"page": 10**9, "page_size": self.max_page_size}
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "schema": {"type": "integer", "minimum": 1, "maximum": limit},
            }
            for name, limit in limits.items()
        ]

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        assert self.page is not None
        return Response(
            {
                "count": self.page.paginator.count,
                "page": self.page.number,
                "page_size": self.page.paginator.per_page,
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        count = {"type": "integer", "minimum": 0}
        return {
            "type": "object",
            "required": ["count", "page", "page_size", "results"],
            "properties": {"count": count, "page": count, "page_size": count, "results": schema},
        }
