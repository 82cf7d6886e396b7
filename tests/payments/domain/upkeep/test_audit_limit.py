"""The audit's own limit of time, in a transaction of its own."""

import pytest
from django.db import connection

from payments.domain.upkeep.audit import run
from payments.domain.upkeep.audit.rule import Rule
from payments.domain.upkeep.audit.run import run_audit
from tests.factories import NOW


@pytest.mark.django_db(transaction=True)
def test_rule_may_take_longer_than_an_ordinary_statement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slow = Rule("slow", "", "SELECT slept FROM (SELECT pg_sleep(0.3)::text AS slept) AS s WHERE slept <> ''")
    monkeypatch.setattr(run, "RULES", [slow])
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '100ms'")
        try:
            [verdict] = run_audit(now=NOW)
            cursor.execute("SHOW statement_timeout")
            assert (verdict.broken_count, cursor.fetchone()) == (0, ("100ms",))
        finally:
            cursor.execute("RESET statement_timeout")
