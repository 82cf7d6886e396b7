"""Input that many endpoints share."""

import re
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

MAX_ID = 2**63 - 1
_DIGITS = re.compile(r"[0-9]{1,19}")


@extend_schema_field({"oneOf": [{"type": "integer", "minimum": 0, "maximum": MAX_ID}, {"type": "string", "pattern": "^[0-9]{1,18}$"}]})
class IdField(serializers.Field[int, Any, int, Any]):
    """An id as a number or a numeric string; an int from here on. `allow_zero` lets 0 through, which stands for "none"."""

    default_error_messages = {"invalid": "需要一个正整数编号。"}

    def __init__(self, *, allow_zero: bool = False, **kwargs: Any) -> None:
        self.allow_zero = allow_zero
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not (isinstance(data, int) or (isinstance(data, str) and _DIGITS.fullmatch(data))):
            self.fail("invalid")
        number = int(data)
        if not (0 if self.allow_zero else 1) <= number <= MAX_ID:
            self.fail("invalid")
        return number

    def to_representation(self, value: int) -> int:
        return value


class YuanField(serializers.DecimalField):
    """Yuan with two places: a string such as `"19.90"` in and out; numbers are taken too, but never through a float's rounding."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=12, decimal_places=2, **kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool):
            self.fail("invalid")
        return super().to_internal_value(data).quantize(Decimal("0.01"))


class StrictIntegerField(serializers.IntegerField):
    """A whole number: no strings with signs or points, no booleans, no floats."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool | float) or (isinstance(data, str) and not _DIGITS.fullmatch(data)):
            self.fail("invalid")
        return super().to_internal_value(data)


class Input(serializers.Serializer[Any]):
    """A request's body. A field that we don't know is an error: it is a typing mistake or an attempt."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := set(data) - set(self.fields)):
            raise serializers.ValidationError({str(name)[:64]: ["未知字段。"] for name in sorted(unknown, key=str)})
        return super().to_internal_value(data)
