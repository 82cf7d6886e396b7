"""`manage.py staff_totp NAME`: a second factor for a member of staff."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django_otp.plugins.otp_totp.models import TOTPDevice

from shop.domain.accounts import tokens
from shop.models import Account


class Command(BaseCommand):
    help = (
        "Gives a member of staff a new secret for an authenticator app and prints it as an "
        "otpauth:// address. An older secret and all logins end."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--remove", action="store_true", help="end the old secret and make no new one")

    def handle(self, *args: Any, **options: Any) -> None:
        account = Account.objects.filter(username=options["username"], is_staff=True).first()
        if account is None:
            raise CommandError("No member of staff has this name.")
        with transaction.atomic():
            TOTPDevice.objects.filter(user=account).delete()
            tokens.end_logins([account.pk])
            if not options["remove"]:
                self.stdout.write(TOTPDevice.objects.create(user=account, name="authenticator").config_url)
