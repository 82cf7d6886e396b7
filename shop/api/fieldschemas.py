"""How the OpenAPI schema describes our input and output. Loaded by `urls.py`.

The schema is exact: an input is accepted if and only if the schema allows it.
"""

from inspect import cleandoc
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import Direction
from msgspec.json import schema_components
from rest_framework import serializers

from shop.api.fields import MAX_ID, IdField, Input, StrictIntegerField, YuanField
from shop.api.wire import Output


def _whole(minimum: int, maximum: int) -> dict[str, Any]:
    """A whole number, or a string of its digits. `maximum` is all nines, so that a pattern can express it."""
    digits = f"[1-9][0-9]{{0,{len(str(maximum)) - 1}}}"
    return {
        "oneOf": [
            {"type": "integer", "minimum": minimum, "maximum": maximum},
            {"type": "string", "pattern": f"^{digits}$" if minimum else f"^(0|{digits})$"},
        ]
    }


class IdSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Documents `IdField`."""

    target_class = IdField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        if direction == "response":
            return {"type": "integer"}
        return _whole(0 if self.target.allow_zero else 1, MAX_ID)


class YuanSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Documents `YuanField`."""

    target_class = YuanField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        if direction == "response":
            return {"type": "string", "pattern": r"^[0-9]{1,10}\.[0-9]{2}$"}
        text = {"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,2})?$"}
        return {"oneOf": [text, {"type": "integer", "minimum": 0, "maximum": 10**10 - 1}]}


class StrictIntegerSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Documents `StrictIntegerField`."""

    target_class = StrictIntegerField

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        return _whole(self.target.min_value, self.target.max_value)


class InputSchema(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Documents the rules of `Input` and of its lists that drf-spectacular leaves out."""

    target_class = Input
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        schema: dict[str, Any] = auto_schema._map_basic_serializer(self.target, direction)  # type: ignore[no-untyped-call]
        for name, field in self.target.fields.items():
            if isinstance(field, serializers.ListSerializer):
                # mypy's stubs lack max_length.
                schema["properties"][name] |= {
                    "minItems": 0 if field.allow_empty else 1,
                    "maxItems": vars(field)["max_length"],
                }
            if isinstance(field, serializers.ListSerializer | serializers.ListField):
                # The actual rule, each course at most once, can't be expressed in JSON Schema.
                schema["properties"][name]["uniqueItems"] = True
        return {**schema, "additionalProperties": False}


class OutputSchema(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Documents each `Output` as msgspec describes it."""

    target_class = Output
    match_subclasses = True

    def get_name(self, auto_schema: AutoSchema, direction: Direction) -> str:
        name: str = self.target.__name__
        return name

    def map_serializer(self, auto_schema: AutoSchema, direction: Direction) -> dict[str, Any]:
        _, described = schema_components([self.target], ref_template="#/components/schemas/{name}")
        own: dict[str, Any] = _as_openapi(described.pop(self.get_name(auto_schema, direction)))
        for name, schema in described.items():
            component = ResolvedComponent(
                name, ResolvedComponent.SCHEMA, schema=_as_openapi(schema), object=name
            )  # type: ignore[no-untyped-call]
            auto_schema.registry.register_on_missing(component)
        return own


def _as_openapi(schema: Any) -> Any:
    """Converts JSON Schema to OpenAPI 3.0, which has no type `null` and allows nothing beside a `$ref`. Also
    removes the indentation of docstrings and adds the type to each `enum`.
    """
    if isinstance(schema, list):
        return [_as_openapi(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    known = {
        name: _as_openapi(part)
        for name, part in schema.items()
        if name not in ("title", "anyOf", "default", "$ref")
    }
    options = [_as_openapi(option) for option in schema.get("anyOf", []) if option != {"type": "null"}]
    if "description" in known:
        known["description"] = cleandoc(known["description"])
    if "enum" in known:
        known.setdefault("type", "integer" if isinstance(known["enum"][0], int) else "string")
    if "$ref" in schema:
        return {"$ref": schema["$ref"]} if not known else {**known, "allOf": [{"$ref": schema["$ref"]}]}
    if options:
        (option,) = options
        known |= {"allOf": [option]} if "$ref" in option else option
        if {"type": "null"} in schema["anyOf"]:
            known["nullable"] = True
    return known
