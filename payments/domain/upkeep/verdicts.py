"""The audit's last verdicts, kept for the metrics and for whoever is to be told."""

from collections.abc import Sequence
from datetime import datetime

from payments.domain.upkeep.audit.run import Verdict
from shop.domain.measures import measurements

NAME = "audit"


def note_verdicts(verdicts: Sequence[Verdict], *, now: datetime) -> None:
    measurements.note(NAME, {verdict.rule.name: verdict.broken_count for verdict in verdicts}, now=now)


def find_verdicts() -> tuple[dict[str, int], datetime] | None:
    """How many rows break each rule, and when that was found; None before the first audit."""
    found = measurements.find(NAME)
    return None if found is None else (found.value, found.taken_at)
