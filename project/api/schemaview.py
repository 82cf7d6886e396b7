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

# The schema changes only when the program does.
_MAX_AGE_S = 300
# The generator uses process-wide state, so two threads must not run it at once.
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
    """Swagger UI with its script in a file of its own, as the content security policy requires.

    It doesn't answer OPTIONS, since it only has a template for GET.
    """

    http_method_names = ("get", "head")
    url_name = "schema"


@cache
def _rendered(renderer: Hashable) -> bytes:
    """The schema as text. It is cached too: writing YAML takes longer than generating the schema."""
    make: Any = renderer
    rendered = make().render(_schema(), make.media_type, {})
    return rendered if isinstance(rendered, bytes) else str(rendered).encode()


@cache
def _schema() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
