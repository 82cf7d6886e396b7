"""Column types that every table of the shop shares."""

from typing import Any

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy


def names_of(choices: type[models.Choices]) -> list[tuple[Any, Promise]]:
    """A field's choices with lazily translated names. The enum's labels stay Chinese, since the API returns
    them.
    """
    return [(value, gettext_lazy(label)) for value, label in choices.choices]


class YuanField(models.DecimalField):  # type: ignore[type-arg] # not subscriptable at run time
    """Yuan, numeric(12, 2). It may be negative: the tables add `not_negative` where it must not be."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"] = 12
        kwargs["decimal_places"] = 2
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs


def not_negative(*columns: str, name: str) -> models.CheckConstraint:
    """A CHECK that none of `columns` is negative."""
    return models.CheckConstraint(
        condition=models.Q(**{f"{column}__gte": 0 for column in columns}), name=name
    )
