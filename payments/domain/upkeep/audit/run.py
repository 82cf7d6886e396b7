"""Runs the audit."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from payments.domain.upkeep.audit import access, books, orders, payments, refunds, work
from payments.domain.upkeep.audit.rule import Rule
from shop.domain import sql

RULES = (*books.RULES, *orders.RULES, *access.RULES, *payments.RULES, *refunds.RULES, *work.RULES)
# Enough to see what is wrong; the count of all of them is given beside.
SHOWN_ROWS = 20
# A rule reads whole tables. The ordinary limit of ten seconds is for statements that somebody waits for.
RULE_LIMIT_S = 300


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a rule: how many rows break it, and the first of them."""

    rule: Rule
    broken_count: int
    rows: tuple[dict[str, Any], ...]


def run_audit(*, now: datetime) -> Iterator[Verdict]:
    """Checks one rule after the other, each in one statement (and so at one moment), and yields its
    verdict.
    """
    for rule in RULES:
        with transaction.atomic():
            sql.write(f"SET LOCAL statement_timeout = '{RULE_LIMIT_S}s'", [])
            found = sql.read_named(_broken(rule), {"overdue": now - work.OVERDUE_AFTER})
        count = found[0]["broken_count"] if found else 0
        yield Verdict(
            rule,
            count,
            tuple({name: value for name, value in row.items() if name != "broken_count"} for row in found),
        )


def _broken(rule: Rule) -> str:
    """The first rows that break a rule, each with the count of all of them."""
    return f"SELECT *, count(*) OVER () AS broken_count FROM ({rule.statement}) AS broken LIMIT {SHOWN_ROWS}"  # noqa: S608 - ours
