"""The OpenAPI schema: the envelope around every answer, and every error slug in one place."""

from typing import Any

from drf_spectacular.openapi import AutoSchema

from shop import errors
from shop.errors import SUCCESS_CODE


class EnvelopeAutoSchema(AutoSchema):
    """drf-spectacular's, with the envelope around JSON answers."""

    def _get_response_for_code(self, serializer: Any, status_code: str, *args: Any, **kwargs: Any) -> Any:
        response: dict[str, Any] = super()._get_response_for_code(serializer, status_code, *args, **kwargs)  # type: ignore[no-untyped-call]
        for media_type, content in response.get("content", {}).items():
            if media_type == "application/json" and "schema" in content:
                content["schema"] = {
                    "type": "object",
                    "required": ["code", "msg", "data"],
                    "properties": {
                        "code": {"type": "integer", "enum": [SUCCESS_CODE]},
                        "msg": {"type": "string", "nullable": True},
                        "data": content["schema"],
                    },
                }
        return response


def document_errors(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A post-processing hook: the error envelope as a component, and on every operation."""
    slugs = errors.registry()
    result["components"].setdefault("schemas", {})["Error"] = {
        "type": "object",
        "description": "\n".join(
            f"- `{slug}` (HTTP {error.status}, code {error.code}): {error.message}"
            for slug, error in sorted(slugs.items())
        ),
        "required": ["code", "error", "msg", "details"],
        "properties": {
            "code": {"type": "integer"},
            "error": {"type": "string", "enum": sorted(slugs)},
            "msg": {"type": "string"},
            "details": {"type": "object", "additionalProperties": True},
        },
    }
    answer = {
        "description": "Refused; nothing has changed.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["responses"].setdefault("4XX", answer)
                operation["responses"].setdefault("503", answer)
    return result
