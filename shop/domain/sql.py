"""The one door to SQL, for the paths that every order takes and for what the ORM can't say.

`locks.py` and the modules that own a statement go through it: a statement is a named constant, beside the one
function that runs it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from django.db import connection, models
from psycopg.types.json import Jsonb

_Model = TypeVar("_Model", bound=models.Model)


Parameters = Sequence[Any] | Mapping[str, Any]
_WORD = re.compile(r"\{(\w+)\.(\w+)\}")


def _plain(value: Any) -> str:
    """Text of a kind of its own, such as Django's."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON knows")


_JSON = msgspec.json.Encoder(enc_hook=_plain)


def statement(text: str, *enums: type[Enum]) -> str:
    """The text with the enums' words in place of `{OrderStatus.PAID}` and the like.

    They are part of the text rather than parameters because statements are prepared: PostgreSQL uses a
    partial index for a prepared statement only if the index's condition follows from the text.
    """
    known = {enum.__name__: enum for enum in enums}
    return _WORD.sub(lambda found: _literal(known[found[1]][found[2]]), text)


def _literal(word: Enum) -> str:
    return "'" + str(word.value).replace("'", "''") + "'"


def read(statement: str, parameters: Parameters) -> list[Any]:
    """What a statement finds."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: list[Any] = cursor.fetchall()
    return found


def read_row(statement: str, parameters: Parameters) -> tuple[Any, ...] | None:
    """The first row that a statement finds, if any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        found: tuple[Any, ...] | None = cursor.fetchone()
    return found


def read_named(statement: str, parameters: Parameters) -> list[dict[str, Any]]:
    """What a statement finds, each row by the names of its columns."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def write(statement: str, parameters: Parameters) -> int:
    """Changes rows; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        changed: int = cursor.rowcount
    return changed


def jsonb(value: Any) -> Jsonb:
    """A parameter for a column of JSON: what JSON knows, with names of text."""
    return Jsonb(value, _JSON.encode)


def made(model: type[_Model], **columns: Any) -> _Model:
    """An object for a row that exists, with these columns loaded; any other column is read on access."""
    names = _in_order(model, tuple(columns))
    return model.from_db(connection.alias, names, [columns[name] for name in names])


@cache
def _in_order(model: type[models.Model], columns: Sequence[str]) -> list[str]:
    """The columns as Django demands them: in the order of the model's fields."""
    return [field.attname for field in model._meta.concrete_fields if field.attname in columns]


def insert(objects: Sequence[models.Model]) -> None:
    """Inserts new objects of one model, all columns as they are, and gives them their primary keys.

    Values are checked by PostgreSQL only. An empty sequence is no statement.

    Raises:
        IntegrityError, DataError: nothing is inserted.
    """
    if not objects:
        return
    text, columns = _insertion(type(objects[0]))
    inserted = read(text, [_array([write(value(row)) for row in objects]) for value, write in columns])
    for row, (pk,) in zip(objects, inserted, strict=True):
        row.pk = pk


# For each column of a statement: how to read it from an object, and how to write it as an array's element.
_Columns = list[tuple[Callable[[Any], Any], Callable[[Any], str]]]


@cache
def _insertion(model: type[models.Model]) -> tuple[str, _Columns]:
    fields: list[Any] = [field for field in model._meta.concrete_fields if not field.primary_key]
    text = f"""
        INSERT INTO {_quoted(model._meta.db_table)} ({", ".join(_quoted(field.column) for field in fields)})
        SELECT * FROM unnest({_arrays(fields)}) RETURNING id
    """  # noqa: S608 - names of ours
    return text, _columns(fields)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _arrays(fields: Sequence[Any]) -> str:
    return ", ".join(
        f"%s::{field.rel_db_type(connection) if field.is_relation else field.db_type(connection)}[]"
        for field in fields
    )


def _columns(fields: Sequence[Any]) -> _Columns:
    return [(attrgetter(field.attname), _writer(field)) for field in fields]


def _writer(field: Any) -> Callable[[Any], str]:
    if field.is_relation:
        field = field.target_field
    return next(write for kind, write in _WRITERS if isinstance(field, kind))


# The elements of arrays as PostgreSQL reads them. The driver takes four times as long: it looks at each value
# for its type and for what has to be quoted.


def _array(elements: list[str]) -> str:
    return "{" + ",".join(elements) + "}"


def _write_json(value: Any) -> str:
    return _write_text(_JSON.encode(value).decode())


def _write_text(value: Any) -> str:
    if value is None:
        return "NULL"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write_int(value: Any) -> str:
    return "NULL" if value is None else str(int(value))


def _write_flag(value: Any) -> str:
    return "NULL" if value is None else str(bool(value))


def _write_number(value: Any) -> str:
    return "NULL" if value is None else str(Decimal(value))


def _write_time(value: Any) -> str:
    return "NULL" if value is None else value.isoformat()


_WRITERS: Sequence[tuple[Any, Callable[[Any], str]]] = [
    (models.JSONField, _write_json),
    ((models.CharField, models.TextField), _write_text),
    (models.IntegerField, _write_int),
    (models.BooleanField, _write_flag),
    (models.DecimalField, _write_number),
    (models.DateField, _write_time),  # with a time or without
]
