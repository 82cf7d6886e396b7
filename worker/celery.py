"""The Celery application. `celery -A worker worker` runs it; the web process imports it to publish
wake-ups.
"""

import logging
import os
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    celeryd_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_shutdown,
)
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections

import worker.metrics_server
import worker.task_metrics  # noqa: F401 - both for their receivers of signals
from payments.gateways import bound_calls
from shop import checks, tracing
from shop.recording import start_recording
from worker import logging_options, servers
from worker.draining import DrainOnTerm
from worker.ending import end_with_the_command
from worker.flower_login import demand_login
from worker.heartbeat import NoticeHalfOpen
from worker.liveness import TouchWhileConsuming
from worker.lost_broker import guard_channels
from worker.memory import calm_collector
from worker.sweeping import SweepWhileConsuming
from worker.task_context import follow_tasks

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
# Celery would run all of Django's checks, including those of pages and admin, and ignore the results. The
# checks that matter to a worker run below.
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")

app = Celery("worker")
app.set_default()  # for all threads, not only the current one
app.config_from_object("worker.config")
app.autodiscover_tasks()
app.autodiscover_tasks(["worker"])
app.steps["consumer"].update({DrainOnTerm, NoticeHalfOpen, SweepWhileConsuming, TouchWhileConsuming})
end_with_the_command()
follow_tasks()
demand_login()


@app.on_after_configure.connect
def keep_database_connections(sender: Celery, **kwargs: Any) -> None:
    """Celery's Django fixup opens a new connection for every task unless it is told how many tasks may share
    one.
    """
    sender.conf["CELERY_DB_REUSE_MAX"] = 10**9


@setup_logging.connect
def use_our_logging(loglevel: int | str | None = None, logfile: str | None = None, **kwargs: Any) -> None:
    """Keeps Django's LOGGING as the only configuration; Celery's options still set the level and the file."""
    if logging_options.is_given("loglevel") and loglevel is not None:
        logging.getLogger().setLevel(loglevel)
    if logfile:
        logging_options.write_to(logfile)


@celeryd_init.connect
def use_consumer_timeouts(conf: Any, **kwargs: Any) -> None:
    """A consumer blocks on its queue for seconds, so it needs longer timeouts than a publisher."""
    conf.broker_transport_options = {**conf.broker_transport_options, **conf.consumer_transport_options}


@celeryd_init.connect
def survive_lost_broker(**kwargs: Any) -> None:
    """Keeps the worker running when its broker goes away, whatever it is doing."""
    guard_channels()


@worker_init.connect
def refuse_mistakes_of_worker(**kwargs: Any) -> None:
    """Once Django is set up: a worker that would go wrong with money doesn't start."""
    _refuse_mistakes(has_keys=True)


@beat_init.connect
def refuse_mistakes_of_beat(**kwargs: Any) -> None:
    """The same without the key files: beat only sends wake-ups and mail."""
    _refuse_mistakes(has_keys=False)


def _refuse_mistakes(*, has_keys: bool) -> None:
    """Celery goes on after an ordinary exception."""
    try:
        checks.refuse_mistakes(has_keys=has_keys)
    except ImproperlyConfigured as error:
        raise SystemExit(f"This configuration can't work:\n{error}") from None


@worker_init.connect
def record_spans(**kwargs: Any) -> None:
    """Runs before the pool's children are forked; each child exports its spans itself."""
    try:
        start_recording(settings.OTEL_TRACES_EXPORTER)
    except ImproperlyConfigured as error:
        raise SystemExit(f"{error}") from None


@worker_init.connect
def bound_gateway_calls(**kwargs: Any) -> None:
    """Runs before the pool's children are forked: each process has its own rate limit, and its number of
    threads bounds the concurrent calls.
    """
    bound_calls(rate=settings.GATEWAY_RATE or None)


@worker_init.connect
@beat_init.connect
def refuse_unfit_servers(**kwargs: Any) -> None:
    """Stops the start with one message if a server lacks what the worker needs."""
    try:
        servers.refuse_unfit_servers()
    except ImproperlyConfigured as error:
        # Celery only logs other exceptions from a signal's receivers.
        raise SystemExit(f"{error}") from None


@worker_process_shutdown.connect
def send_spans(**kwargs: Any) -> None:
    """Exports spans explicitly: a child of the pool exits without running Python's exit handlers."""
    tracing.flush()


@worker_init.connect
def calm(**kwargs: Any) -> None:
    """Runs before the pool's children are forked: they share what is frozen here, and none searches it."""
    calm_collector()


@task_prerun.connect
@task_postrun.connect
def drop_stale_connections(**kwargs: Any) -> None:
    """Closes database connections that are broken or older than CONN_MAX_AGE, as Django does around
    requests.
    """
    close_old_connections()
