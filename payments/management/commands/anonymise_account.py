"""`manage.py anonymise_account NAME --yes`: erases a buyer's personal data."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from payments.domain.upkeep.personal_data import anonymise_account
from shop import clock
from shop.errors import DomainError
from shop.models import Account


class Command(BaseCommand):
    help = (
        "Erases a buyer's personal data, ends all logins and disables the account. Orders and the "
        "ledger stay. It can't be undone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--yes", action="store_true", help="really do it")

    def handle(self, *args: Any, **options: Any) -> None:
        account = Account.objects.filter(username=options["username"]).first()
        if account is None:
            raise CommandError("No account has this name.")
        if not options["yes"]:
            raise CommandError("This can't be undone. Add --yes to do it.")
        try:
            erased = anonymise_account(account.pk, now=clock.now())
        except DomainError as refusal:
            raise CommandError(
                f"{refusal.slug}: {refusal.text} {dict(refusal.details) or ''}".strip()
            ) from refusal
        self.stdout.write(f"{options['username']} is {erased.username} now")
