"""The periodic jobs, and beat's scheduler: it keeps its state in PostgreSQL and uses PostgreSQL's clock.

So beat may be restarted, there may be several, and their clocks may differ. Every job is idempotent.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

import structlog
from celery.beat import Scheduler
from django.conf import settings
from django.db import DatabaseError, close_old_connections
from django.utils import timezone as django_timezone
from kombu.exceptions import KombuError, OperationalError

from shop import clock
from shop.domain.work.turns import give_back_turn, take_turn
from worker.alert_mail import mail_alerts
from worker.liveness import touch

log = structlog.get_logger(__name__)

TICK_S = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """A task with either its interval or its time of day (Beijing time)."""

    task: str
    every: timedelta | None = None
    daily_at: time | None = None

    def due_since(self, now: datetime) -> datetime:
        """The job is due at `now` unless it has run since this moment."""
        if self.daily_at is None:
            return now - (self.every or timedelta())
        local = django_timezone.localtime(now)
        today = local.replace(hour=self.daily_at.hour, minute=self.daily_at.minute, second=0, microsecond=0)
        return today if today <= local else today - timedelta(days=1)


JOBS = (
    # At a quiet hour.
    Job("payments.audit", daily_at=time(4, 30)),
    # Once the previous day has ended; its bill is requested from BILL_HOUR on.
    Job("payments.plan_bills", daily_at=time(0, 10)),
    Job("payments.purge_personal_data", every=timedelta(hours=1)),
    Job("shop.purge_tokens", every=timedelta(hours=1)),
    Job("shop.expire_coupons", every=timedelta(minutes=10)),
    Job("shop.fold_totals", every=timedelta(minutes=1)),
)


class TurnScheduler(Scheduler):
    """Asks PostgreSQL every few seconds which jobs are due and sends them, in place of Celery's own
    schedule.
    """

    def tick(self, *args: object, **kwargs: object) -> float:
        try:
            close_old_connections()
            now = clock.database_now()
            for job in JOBS:
                self._send_if_due(job, now)
            mail_alerts(now=now)
        except DatabaseError as error:
            log.warning("beat_without_database", error=str(error))
        else:
            if settings.ALIVE_FILE:
                touch()
        return TICK_S

    def _send_if_due(self, job: Job, now: datetime) -> None:
        if not take_turn(job.task, since=job.due_since(now), now=now):
            return
        try:
            sent = self.app.tasks[job.task].apply_async()
        except (OperationalError, KombuError, OSError) as error:
            give_back_turn(job.task)
            log.warning("job_not_sent", task=job.task, error=str(error))
        else:
            log.info("job_sent", task_name=job.task, task_id=sent.id)
