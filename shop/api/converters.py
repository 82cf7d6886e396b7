"""Parts of addresses. Registered when this module is imported."""

from django.urls import register_converter
from django.urls.converters import IntConverter


class IdConverter(IntConverter):
    """An id that fits the database's column; anything longer is no address of ours."""

    regex = "[0-9]{1,18}"


class NumberConverter:
    """An order's or a checkout's number."""

    regex = "[0-9A-Za-z]{1,64}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(IdConverter, "id")
register_converter(NumberConverter, "number")
