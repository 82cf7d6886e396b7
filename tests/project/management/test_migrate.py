"""Migrations of a shop with data."""

from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

pytestmark = pytest.mark.django_db(transaction=True)


def statement_timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        value: str = cursor.fetchone()[0]
    return value


def lock_timeout() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        value: str = cursor.fetchone()[0]
    return value


def test_migrations_have_all_the_time_they_need_but_wait_for_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    migrate: Callable[..., object] = MigrationExecutor.migrate

    def watch(self: MigrationExecutor, *args: object, **kwargs: object) -> object:
        seen.append((statement_timeout(), lock_timeout()))
        return migrate(self, *args, **kwargs)

    monkeypatch.setattr(MigrationExecutor, "migrate", watch)
    assert statement_timeout() == "10s"
    call_command("migrate", verbosity=0)
    assert seen == [("0", "2s")]
    assert statement_timeout() == "10s"


def test_failed_migration_leaves_the_limit_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: MigrationExecutor, *args: object, **kwargs: object) -> None:
        raise RuntimeError("no disk")

    monkeypatch.setattr(MigrationExecutor, "migrate", fail)
    with pytest.raises(RuntimeError, match="no disk"):
        call_command("migrate", verbosity=0)
    assert statement_timeout() == "10s"
