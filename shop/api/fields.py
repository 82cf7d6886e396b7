"""Input fields that many endpoints share. `fieldschemas.py` describes them in OpenAPI and must agree
exactly.
"""

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy
from rest_framework import serializers
from rest_framework.request import Request

from shop.errors import InvalidInput

# Eighteen digits, so that a pattern can bound an id by its length; a bigint holds slightly more.
MAX_ID = 10**18 - 1
# More 贝里 than any order can use.
MAX_BEILI = 10**12 - 1
# More days than any price policy has.
MAX_PERIOD = 9999
_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")
_YUAN = re.compile(r"[0-9]{1,10}(\.[0-9]{1,2})?")


class IdField(serializers.Field[int, Any, int, Any]):
    """An id, sent as a number or a numeric string, validated to an int.

    `allow_zero` lets 0 through, which stands for "none".
    """

    default_error_messages = {"invalid": gettext_lazy("需要一个正整数编号。")}

    def __init__(self, *, allow_zero: bool = False, **kwargs: Any) -> None:
        self.allow_zero = allow_zero
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not (
            isinstance(data, int) or (isinstance(data, str) and _WHOLE.fullmatch(data))
        ):
            self.fail("invalid")
        number = int(data)
        if not (0 if self.allow_zero else 1) <= number <= MAX_ID:
            self.fail("invalid")
        return number

    def to_representation(self, value: int) -> int:
        return value


def optional_id(help_text: str) -> IdField:
    """The id of something that may be left out: 0 and null mean none."""
    return IdField(allow_zero=True, required=False, allow_null=True, default=None, help_text=help_text)


class LabelField(serializers.CharField):
    """A choice shown by its label, always in Chinese: programs compare it, and the pages' scripts translate
    it.
    """

    def __init__(self, choices: type[models.Choices], **kwargs: Any) -> None:
        self.labels = dict(choices.choices)
        super().__init__(**kwargs)

    def to_representation(self, value: Any) -> str:
        return str(self.labels.get(value, value))


class YuanField(serializers.DecimalField):
    """An amount in yuan with two decimal places: a string such as `"19.90"` in input and output.

    Input may also be a whole number. A JSON number with a fraction would be a float and is refused.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=12, decimal_places=2, **kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool | float) or (isinstance(data, str) and not _YUAN.fullmatch(data)):
            self.fail("invalid")
        return super().to_internal_value(data).quantize(Decimal("0.01"))


class StrictIntegerField(serializers.IntegerField):
    """A whole number or a string of digits: no sign, no decimal point, no boolean, no float."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool | float) or (isinstance(data, str) and not _WHOLE.fullmatch(data)):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictBooleanField(serializers.BooleanField):
    """A JSON `true` or `false`; no string or number stands for one."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class TextField(serializers.CharField):
    """A string. DRF's own field also accepts numbers."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class NumberField(TextField):
    """An order's or a checkout's number."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=64, trim_whitespace=False, validators=[RegexValidator(r"^[0-9A-Z]{1,64}\Z")], **kwargs
        )


class Input(serializers.Serializer[Any]):
    """A request's body or query.

    An unknown field is an error: it is either a typo or an attack.
    """

    @classmethod
    def read(cls, data: Any) -> dict[str, Any]:
        """Validates `data`.

        Raises:
            ValidationError: it isn't valid.
        """
        validated: dict[str, Any] = _reader(cls).run_validation(data)
        return validated

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := set(data) - set(self.fields)):
            raise serializers.ValidationError(
                {str(name)[:64]: [gettext_lazy("未知字段。")] for name in sorted(unknown, key=str)}
            )
        return super().to_internal_value(data)


@cache
def _reader(input_class: type[Input]) -> Input:
    """One instance for all requests: instantiating a serializer copies its fields, which takes a third as
    long as a whole request. Validating keeps no state on the instance.
    """
    return input_class()


@cache
def _writer(
    output_class: Callable[..., serializers.BaseSerializer[Any]], many: bool
) -> serializers.BaseSerializer[Any]:
    return output_class(many=many)


def show(
    output_class: Callable[..., serializers.BaseSerializer[Any]], found: Any, *, many: bool = False
) -> Any:
    """The representation of an object by `output_class`, or with `many` of several objects.

    One instance serves all requests, as with `Input.read`.
    """
    return _writer(output_class, many).to_representation(found)


def are_distinct(course_ids: Collection[int]) -> bool:
    """Whether no course occurs twice."""
    return len(set(course_ids)) == len(course_ids)


def refuse_repeated_courses(course_ids: Collection[int]) -> None:
    """The check for every list of courses in a body.

    Raises:
        ValidationError: a course occurs twice.
    """
    if not are_distinct(course_ids):
        raise serializers.ValidationError(gettext_lazy("同一门课程出现了两次。"))


class PageFilter(Input):
    """The query parameters of a list. A view with more parameters sets a subclass as its `filter_class`."""

    page = StrictIntegerField(required=False, min_value=1, max_value=10**9)
    page_size = StrictIntegerField(required=False, min_value=1, max_value=100)


def content_length(meta: Mapping[str, Any]) -> int:
    """The value of `Content-Length`; 0 if it is missing or malformed.

    Servers refuse a malformed one, so a request that arrives with one has no body.
    """
    given = meta.get("CONTENT_LENGTH") or ""
    return int(given) if given.isascii() and given.isdigit() and len(given) < 20 else 0


Query = TypeVar("Query", bound=Input)


def read_query(request: Request, query_class: type[Query]) -> dict[str, Any]:
    """Validates the request's query.

    Raises:
        InvalidInput: a parameter occurs twice.
        ValidationError: a parameter is unknown or invalid.
    """
    if repeated := sorted(name for name, values in request.query_params.lists() if len(values) > 1):
        raise InvalidInput(fields={name[:64]: [gettext_lazy("重复的参数。")] for name in repeated})
    return query_class.read(request.query_params.dict())
