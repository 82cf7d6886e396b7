"""What all tests share."""

import pytest
from django.db import connection
from hypothesis import settings
from pytest_django import DjangoDbBlocker

# The same examples in every run, so that a failure is found by whoever caused it; no deadline, since the machine may be busy.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=60, database=None)
settings.load_profile("repeatable")

# The tables that can't be emptied.
APPEND_ONLY = ("shop_ledgertransfer", "shop_orderevent")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Between two tests that commit, pytest-django empties all tables; in its own database it may empty the append-only ones, too."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in APPEND_ONLY:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER never_emptied")
