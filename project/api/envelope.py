"""The API's envelope: `{"code": 1000, "msg": null, "data": …}` for what worked, the error's own for what didn't."""

from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import JSONRenderer

from shop.errors import SUCCESS_CODE


class EnvelopeRenderer(JSONRenderer):
    """Wraps what a view returns. An error comes from `project.api.errors` with its envelope on."""

    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None) -> bytes:
        response = (renderer_context or {}).get("response")
        if response is not None and response.status_code in {204, 304}:
            return b""
        if response is None or not response.exception:
            data = {"code": SUCCESS_CODE, "msg": None, "data": data}
        rendered: bytes = super().render(data, accepted_media_type, renderer_context)
        return rendered
