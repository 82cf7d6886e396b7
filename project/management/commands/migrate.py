"""`manage.py migrate`, as Django has it, but with the time that a change of a grown table needs."""

from typing import Any

from django.core.management import CommandError
from django.core.management.commands import migrate
from django.db import connections


class Command(migrate.Command):
    """The ten seconds that any statement of the shop may take are for requests and tasks: to build an index
    takes longer in a shop with a past.

    The time to wait for a lock stays short: who waits for one to change a table holds up everybody who comes
    after.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        if connection.settings_dict.get("POOLER") == "transaction":
            raise CommandError(
                "migrate needs a connection of its own: give it a DATABASE_URL of PostgreSQL itself and no "
                "DATABASE_POOLER."
            )
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            usual = cursor.fetchone()[0]
            cursor.execute("SET statement_timeout = 0")
            try:
                super().handle(*args, **options)
            finally:
                cursor.execute("SELECT set_config('statement_timeout', %s, false)", [usual])
