"""The API's envelope: `{"code": 1000, "msg": null, "data": …}` for a success; an error has its own."""

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Raw
from rest_framework.renderers import JSONRenderer
from rest_framework.utils.encoders import JSONEncoder

from shop.api.wire import Output, as_builtins, enveloped, written
from shop.errors import SUCCESS_CODE


class OutputEncoder(JSONEncoder):
    """DRF's encoder, which also accepts an `Output` nested in other data."""

    def default(self, obj: Any) -> Any:
        return as_builtins(obj) if isinstance(obj, Output) else super().default(obj)


class EnvelopeRenderer(JSONRenderer):
    """Wraps what a view returns. Errors come from `project.api.errors` in their envelope already."""

    charset = None
    encoder_class = OutputEncoder

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        response = (renderer_context or {}).get("response")
        if response is not None and response.status_code in {204, 304}:
            return b""
        if isinstance(data, Output | Raw):
            if self.get_indent(accepted_media_type or "", renderer_context or {}) is None:
                return enveloped(written(data))
            data = json.loads(written(data))
        if response is None or not response.exception:
            data = {"code": SUCCESS_CODE, "msg": None, "data": data}
        rendered: bytes = super().render(data, accepted_media_type, renderer_context)
        return rendered
