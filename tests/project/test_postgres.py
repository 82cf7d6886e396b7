"""The engine's check of a persistent connection."""

import pytest
from django.db import connection, connections
from django.db.utils import OperationalError

from project.postgres import silence

pytestmark = pytest.mark.django_db(transaction=True)


def test_living_connection_is_usable_without_a_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.ensure_connection()
    monkeypatch.setattr(connection.connection, "cursor", None)  # a statement would fail
    assert connection.is_usable()


def test_connection_that_the_server_ended_is_not_usable() -> None:
    connection.ensure_connection()
    other = connections.create_connection("default")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()
    assert not connection.is_usable()
    connection.close()
    connection.ensure_connection()
    assert connection.is_usable()


def test_failed_transaction_is_not_usable_and_a_closed_connection_neither() -> None:
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        with pytest.raises(Exception, match="no_such_table"):
            cursor.execute("SELECT * FROM no_such_table")
    assert not connection.is_usable()
    connection.close()
    assert not connection.is_usable()


def test_request_after_the_server_ended_the_connection_gets_a_new_one() -> None:
    """As Django does at the start of a request: a closed connection is replaced before its first
    statement.
    """
    connection.ensure_connection()
    first = connection.connection
    with connection.cursor() as cursor, pytest.raises(OperationalError):
        cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    connection.close_if_unusable_or_obsolete()
    connection.ensure_connection()
    assert connection.connection is not first


def test_connection_that_takes_no_writes_is_left() -> None:
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    assert not connection.is_usable()
    connection.close()
    connection.ensure_connection()
    assert connection.is_usable()


def test_a_write_that_is_refused_is_a_state_of_the_server_and_ends_the_connection() -> None:
    """Also where it isn't reported, as behind a pooler: after an error the server is asked."""
    connection.ensure_connection()
    first = connection.connection
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        with pytest.raises(OperationalError, match="read-only transaction"):
            cursor.execute("UPDATE shop_course SET name = name WHERE false")
    connection.close_if_unusable_or_obsolete()
    connection.ensure_connection()
    assert connection.connection is not first


def test_silent_server_is_not_waited_for_again() -> None:
    connection.ensure_connection()
    silence.begin()
    try:
        assert not connection.is_usable()
        connection.close()
        with pytest.raises(OperationalError, match="doesn't answer"):
            connection.ensure_connection()
    finally:
        silence.end()
    connection.ensure_connection()
    assert connection.is_usable()
