"""A test's commits aren't visible to the next test."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test import testcases

from shop.models import Account, LedgerTransfer, Order, OrderEvent
from tests.emptying import Emptying
from tests.factories import make_buyer, make_course, make_order

pytestmark = pytest.mark.django_db(transaction=True)


def count_rows() -> dict[str, int]:
    with connection.cursor() as cursor:
        counts = {}
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT count(*) FROM {table}")
            counts[table] = cursor.fetchone()[0]
    return counts


def flush_command() -> Callable[..., object]:
    """The command that Django's test cases call; the type stubs lack the name."""
    command: Callable[..., object] = vars(testcases)["call_command"]
    return command


def empty() -> None:
    flush_command()(
        "flush",
        database="default",
        verbosity=0,
        interactive=False,
        reset_sequences=False,
        allow_cascade=False,
    )


def test_everything_that_was_written_goes_and_what_migrations_made_stays() -> None:
    assert isinstance(flush_command(), Emptying)
    before = count_rows()
    assert before["auth_permission"] > 0
    make_order(make_buyer(beili=10), make_course())
    for model in (Account, Order, OrderEvent, LedgerTransfer):
        assert model.objects.exists()
    empty()
    assert count_rows() == before


def test_what_migrations_made_comes_back() -> None:
    before = set(Permission.objects.values_list("codename", flat=True))
    Permission.objects.all().delete()
    Group.objects.create(name="left behind")
    empty()
    assert set(Permission.objects.values_list("codename", flat=True)) == before
    assert not Group.objects.filter(name="left behind").exists()
