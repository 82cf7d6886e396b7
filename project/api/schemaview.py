"""`/api/schema/`: generated once per process, even if many ask at once, then served from memory."""

import threading
from collections.abc import Hashable
from functools import cache
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request

# The schema changes with the program only.
_MAX_AGE_S = 300
# The generator works on state of its whole process: two of them at once fail.
_lock = threading.Lock()


class SchemaView(SpectacularAPIView):
    """The OpenAPI schema, in YAML or JSON by content negotiation or `?format=`."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        renderer: Any = request.accepted_renderer
        with _lock:
            body = _rendered(renderer.__class__)
        return HttpResponse(
            body,
            content_type=f"{request.accepted_media_type}; charset=utf-8",
            headers={
                "Cache-Control": f"public, max-age={_MAX_AGE_S}",
                "Content-Disposition": f'inline; filename="schema.{renderer.format}"',
                "Vary": "Accept",
            },
        )


class DocsView(SpectacularSwaggerSplitView):
    """The schema as a page whose script is a file of its own, as the page's policy asks.

    It has a template for GET and nothing to say to OPTIONS.
    """

    http_method_names = ("get", "head")
    url_name = "schema"


@cache
def _rendered(renderer: Hashable) -> bytes:
    """The text is kept as well: writing YAML takes longer than collecting what to write."""
    make: Any = renderer
    rendered = make().render(_schema(), make.media_type, {})
    return rendered if isinstance(rendered, bytes) else str(rendered).encode()


@cache
def _schema() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
