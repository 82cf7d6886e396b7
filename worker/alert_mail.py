"""Mails `ADMINS` about the few problems that can't wait, for shops without Prometheus.

Beat checks every minute, since that needs neither a worker nor a broker. Each cause is mailed at most once an
hour, however many beats there are and however often they restart: PostgreSQL keeps the turns. The names are
those of the alerts in deploy/prometheus/shop_rules.yml and of the sections in docs/runbook.md.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from smtplib import SMTPException

import structlog
from django.conf import settings
from django.core.mail import mail_admins

from payments.domain.upkeep.silence import find_silent_since
from payments.domain.upkeep.turned_away import count_turned_away
from payments.domain.upkeep.verdicts import find_verdicts
from shop.domain.work import due_rows
from shop.domain.work.turns import give_back_turn, take_turn
from worker.tasks import SWEPT

log = structlog.get_logger(__name__)

LOOK_EVERY = timedelta(minutes=1)
TELL_EVERY = timedelta(hours=1)
STUCK_AFTER = timedelta(minutes=5)
SILENT_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Cause:
    """A problem that can't wait. `look` yields a line for each occurrence."""

    name: str
    look: Callable[[datetime], Iterator[str]]


def mail_alerts(*, now: datetime) -> None:
    """Mails what is wrong, if `ADMINS` is set and no other beat has checked within the last minute."""
    if not (settings.ADMINS and settings.EMAIL_HOST) or not take_turn(
        "alert_mail", since=now - LOOK_EVERY, now=now
    ):
        return
    for cause in CAUSES:
        lines = list(cause.look(now))
        if lines:
            _tell(cause.name, lines, now=now)


def _tell(name: str, lines: list[str], *, now: datetime) -> None:
    turn = f"alert_mail:{name}"
    if not take_turn(turn, since=now - TELL_EVERY, now=now):
        return
    desk = f"{settings.PUBLIC_URL}/admin/"
    body = "\n".join(
        [
            *lines,
            "",
            f"What to do: docs/runbook.md, {name}",
            f"The desk: {desk}",
            "",
            "The next mail about this comes in an hour.",
        ]
    )
    try:
        mail_admins(f"{name}: {lines[0]}", body)
    except (SMTPException, OSError) as error:
        give_back_turn(turn)
        log.warning("alert_not_mailed", alert=name, error=str(error))
    else:
        log.info("alert_mailed", cause=name)


def _audit_broken(now: datetime) -> Iterator[str]:
    verdicts, _ = find_verdicts() or ({}, now)
    for rule, count in verdicts.items():
        if count:
            yield f"the books break the rule {rule} in {count} rows"


def _dead_rows(now: datetime) -> Iterator[str]:
    for swept in SWEPT:
        count = swept.model.objects.filter(dead_at__isnull=False).count()
        if count:
            yield f"{count} rows of {due_rows.table_of(swept.model)} were given up"


def _work_stuck(now: datetime) -> Iterator[str]:
    for swept in SWEPT:
        _, first_at = due_rows.count_due(swept.model, now=now)
        if first_at is not None and now - first_at > STUCK_AFTER:
            since = f"{first_at:%Y-%m-%d %H:%M:%S %Z}"
            yield f"a row of {due_rows.table_of(swept.model)} has been due since {since}: no worker does it"


def _gateway_silent(now: datetime) -> Iterator[str]:
    since = find_silent_since()
    if since is not None and now - since > SILENT_AFTER:
        yield f"Alipay hasn't answered since {since:%Y-%m-%d %H:%M:%S %Z}"


def _gateway_turns_away(now: datetime) -> Iterator[str]:
    count = count_turned_away()
    if count:
        yield f"Alipay keeps refusing calls for {count} rows: a key, an app or a contract is wrong"


CAUSES = (
    Cause("AuditBroken", _audit_broken),
    Cause("DeadRows", _dead_rows),
    Cause("WorkStuck", _work_stuck),
    Cause("GatewaySilentForLong", _gateway_silent),
    Cause("GatewayTurnsAway", _gateway_turns_away),
)
