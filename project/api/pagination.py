"""Lists come in pages."""

from collections.abc import Sequence
from typing import Any

from rest_framework.pagination import PageNumberPagination
from rest_framework.response import Response


class Pages(PageNumberPagination):
    """`?page=` and `?page_size=` (at most 100); answers `{count, page, page_size, results}`."""

    page_size_query_param = "page_size"
    max_page_size = 100

    def get_paginated_response(self, data: Sequence[Any]) -> Response:
        assert self.page is not None
        return Response(
            {"count": self.page.paginator.count, "page": self.page.number, "page_size": self.page.paginator.per_page, "results": data}
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        count = {"type": "integer", "minimum": 0}
        return {
            "type": "object",
            "required": ["count", "page", "page_size", "results"],
            "properties": {"count": count, "page": count, "page_size": count, "results": schema},
        }
