"""URL path converters. Importing this module registers them."""

from django.urls import register_converter
from django.urls.converters import IntConverter


class IdConverter(IntConverter):
    """An id that fits the database's column. A longer number matches no URL and answers 404."""

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
