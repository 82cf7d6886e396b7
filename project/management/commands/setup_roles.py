"""`manage.py setup_roles`: the usual roles of staff."""

from typing import Any

from django.core.management.base import BaseCommand

from project.roles import ROLES, ensure_roles


class Command(BaseCommand):
    help = (
        "Makes the roles 客服, 财务 and 店长 with their permissions. May run again: it adds what "
        "is missing and takes nothing away."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        made = ensure_roles()
        self.stdout.write(f"made: {', '.join(made) or 'none'}; there are: {', '.join(ROLES)}")
