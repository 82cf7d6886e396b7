"""Audits the books: checks every rule of `payments/domain/upkeep/audit/` and lists the rows that violate
it.
"""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from payments.domain.upkeep.audit.run import RULES, SHOWN_ROWS, run_audit
from payments.domain.upkeep.verdicts import note_verdicts
from shop import clock


class Command(BaseCommand):
    help = (
        "Checks that ledger, balances, orders, coupons, enrolments, payments and refunds agree. "
        "Mends nothing; exits 1 if they don't."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        broken, verdicts, now = 0, [], clock.now()
        for position, verdict in enumerate(run_audit(now=now), start=1):
            verdicts.append(verdict)
            mark = self.style.ERROR("BROKEN") if verdict.broken_count else self.style.SUCCESS("ok")
            self.stdout.write(f"[{position:2}/{len(RULES)}] {verdict.rule.name:28} {mark}")
            if verdict.broken_count:
                broken += 1
                self.stdout.write(
                    f"        {verdict.rule.says}\n        {verdict.broken_count} rows, the first "
                    f"{SHOWN_ROWS} at most:"
                )
                for row in verdict.rows:
                    self.stdout.write(
                        "        " + "  ".join(f"{name}={value}" for name, value in row.items())
                    )
        note_verdicts(verdicts, now=now)
        if broken:
            self.stdout.write(self.style.ERROR(f"{broken} of {len(RULES)} rules are broken."))
            sys.exit(1)
        self.stdout.write(self.style.SUCCESS(f"All {len(RULES)} rules hold."))
