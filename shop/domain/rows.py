"""Many rows in one statement, for the paths that every order takes: a third of the price of `bulk_create`."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import Any

from django.db import connection, models
from psycopg.types.json import Jsonb


def insert(objects: Sequence[models.Model]) -> None:
    """Inserts new objects of one model, all columns as they are, and gives them their primary keys.

    Values are checked by PostgreSQL only. An empty sequence is no statement.

    Raises:
        IntegrityError, DataError: nothing is inserted.
    """
    if not objects:
        return
    statement, columns = _plan(type(objects[0]))
    with connection.cursor() as cursor:
        cursor.execute(statement, [[convert(value(made)) for made in objects] for value, convert in columns])
        for made, (pk,) in zip(objects, cursor.fetchall(), strict=True):
            made.pk = pk


@cache
def _plan(model: type[models.Model]) -> tuple[str, list[tuple[Callable[[Any], Any], Callable[[Any], Any]]]]:
    """The statement, and for each of its columns how to read it from an object and how to hand it to the driver."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    quoted = connection.ops.quote_name
    types = [str(field.rel_db_type(connection) if field.is_relation else field.db_type(connection)) for field in fields]
    statement = (
        f"INSERT INTO {quoted(model._meta.db_table)} ({', '.join(quoted(str(field.column)) for field in fields)})"  # noqa: S608 - names of ours
        f" SELECT * FROM unnest({', '.join(f'%s::{kind}[]' for kind in types)}) RETURNING {quoted(str(model._meta.pk.column))}"
    )
    return statement, [(attrgetter(field.attname), _converter(field)) for field in fields]


def _converter(field: "models.Field[Any, Any]") -> Callable[[Any], Any]:
    match field:
        case models.JSONField():
            return Jsonb
        case models.CharField() | models.TextField():
            return _plain_text  # the driver takes no list of mixed types
        case models.IntegerField():
            return _plain_int
        case models.DecimalField():
            return _plain_decimal
        case _:
            return _unchanged


def _plain_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _plain_int(value: Any) -> int | None:
    return None if value is None else int(value)


def _plain_decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _unchanged(value: Any) -> Any:
    return value
