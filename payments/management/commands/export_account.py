"""`manage.py export_account NAME`: everything that the shop knows about a buyer, as JSON."""

import json
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from payments.domain.upkeep.personal_data import export_account
from shop.models import Account


class Command(BaseCommand):
    help = (
        "Writes every row about a buyer as JSON, without secrets. To standard output, or to a "
        "file that only its owner may read."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--output", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        account = Account.objects.filter(username=options["username"]).first()
        if account is None:
            raise CommandError("No account has this name.")
        text = json.dumps(export_account(account), ensure_ascii=False, indent=2, cls=DjangoJSONEncoder)
        if options["output"] is None:
            self.stdout.write(text)
            return
        try:
            file = os.open(options["output"], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise CommandError(f"{options['output']} exists.") from error
        with os.fdopen(file, "w", encoding="utf-8") as output:
            output.write(f"{text}\n")
        sys.stderr.write(f"{options['output']} is written.\n")
