"""The base class of the shop's models."""

from collections.abc import Collection, Iterable
from typing import Any, Self

from django.db import models


class SavesChanges(models.Model):
    """A row whose `save()` writes only the columns that were set on the object since it was loaded or saved.

    Django's own writes all columns, so a form, a command or a login that holds an object for a while would
    overwrite changes by others: a balance, a status, a disabled account. JSON columns are always written,
    since a change inside one can't be detected.
    """

    class Meta:
        abstract = True

    def save(
        self,
        *args: Any,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        names = None if update_fields is None else list(update_fields)
        if names is None and not (self._state.adding or force_insert or args):
            names = self._changed()
        super().save(
            *args, force_insert=force_insert, force_update=force_update, using=using, update_fields=names
        )
        self._note(names)

    @classmethod
    def from_db(
        cls, db: str | None, field_names: Collection[str], values: Collection[Any], **more: Any
    ) -> Self:
        row = super().from_db(db, field_names, values, **more)
        row._state.loaded = dict(zip(field_names, values, strict=False))  # type: ignore[attr-defined] # beside what Django notes of a row
        return row

    def refresh_from_db(
        self, using: str | None = None, fields: Iterable[str] | None = None, from_queryset: Any = None
    ) -> None:
        names = None if fields is None else list(fields)
        super().refresh_from_db(using, names, from_queryset)
        self._note(names)

    def _changed(self) -> list[str]:
        loaded = getattr(self._state, "loaded", {})
        return [
            field.name
            for field in self._meta.concrete_fields
            if not field.primary_key
            and field.attname in self.__dict__
            and (
                isinstance(field, models.JSONField)
                or field.attname not in loaded
                or loaded[field.attname] != self.__dict__[field.attname]
            )
        ]

    def _note(self, names: Collection[str] | None) -> None:
        """Remembers the saved values of the named columns (None: all), except expressions, whose values only
        the database knows.
        """
        loaded = self._state.__dict__.setdefault("loaded", {})
        for field in self._meta.concrete_fields:
            if names is None or field.name in names or field.attname in names:
                value = self.__dict__.get(field.attname, models.DEFERRED)
                if value is not models.DEFERRED and not hasattr(value, "resolve_expression"):
                    loaded[field.attname] = value
