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
    worker_process_init,
    worker_process_shutdown,
)

import worker.metrics_server
import worker.task_metrics  # noqa: F401 - both for their receivers of signals
from shop import tracing
from worker import logging_options
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
# Celery would run all of Django's checks, pages and admin included, and ignore what they say. Those that
# matter to a worker are asked below.
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")

app = Celery("worker")
app.set_default()  # for all threads, not only for the one that is here now
app.config_from_object("worker.config")
app.autodiscover_tasks()
app.autodiscover_tasks(["worker"])
app.steps["consumer"].update({DrainOnTerm, NoticeHalfOpen, SweepWhileConsuming, TouchWhileConsuming})
end_with_the_command()
follow_tasks()
demand_login()


@app.on_after_configure.connect
def keep_database_connections(sender: Celery, **kwargs: Any) -> None:
    """Celery's Django fixup opens a new connection for every task unless told how many tasks may share
    one.
    """
    sender.conf["CELERY_DB_REUSE_MAX"] = 10**9


@setup_logging.connect
def use_our_logging(loglevel: int | str | None = None, logfile: str | None = None, **kwargs: Any) -> None:
    """Django's LOGGING is the only place that configures logging.

    Celery's own options say how much is told, and where to.
    """
    if logging_options.is_given("loglevel") and loglevel is not None:
        logging.getLogger().setLevel(loglevel)
    if logfile:
        logging_options.write_to(logfile)


@celeryd_init.connect
def use_consumer_timeouts(conf: Any, **kwargs: Any) -> None:
    """A consumer blocks on its queue for seconds, so it can't live with the publisher's short time-outs."""
    conf.broker_transport_options = {**conf.broker_transport_options, **conf.consumer_transport_options}


@celeryd_init.connect
def survive_lost_broker(**kwargs: Any) -> None:
    """Whatever a worker is doing when its broker goes away."""
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
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415 - Django is not set up yet when this module is loaded

    from shop import checks  # noqa: PLC0415 - as above

    try:
        checks.refuse_mistakes(has_keys=has_keys)
    except ImproperlyConfigured as error:
        raise SystemExit(f"This configuration can't work:\n{error}") from None


@worker_init.connect
def record_spans(**kwargs: Any) -> None:
    """Before the pool's children are made; each goes on with a sender of its own."""
    from django.conf import settings  # noqa: PLC0415 - Django is not set up yet when this module is loaded
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415 - as above

    try:
        tracing.start_recording(settings.OTEL_TRACES_EXPORTER)
    except ImproperlyConfigured as error:
        raise SystemExit(f"{error}") from None


@worker_init.connect
def bound_gateway_calls(**kwargs: Any) -> None:
    """Before the pool's children are made: each process has the rate for itself, and its threads bound what
    is under way.
    """
    from django.conf import settings  # noqa: PLC0415 - Django is not set up yet when this module is loaded

    from payments.gateways import bound_calls  # noqa: PLC0415 - as above

    bound_calls(rate=settings.GATEWAY_RATE or None)


@worker_init.connect
@beat_init.connect
def refuse_unfit_servers(**kwargs: Any) -> None:
    """What a worker would only fail at, time and again, is said once and ends it."""
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415 - Django is not set up yet when this module is loaded

    from worker import servers  # noqa: PLC0415

    try:
        servers.refuse_unfit_servers()
    except ImproperlyConfigured as error:
        # Celery logs other exceptions of a signal's receivers, and goes on
        raise SystemExit(f"{error}") from None


@worker_process_shutdown.connect
def send_spans(**kwargs: Any) -> None:
    """A child of the pool ends without Python's own farewell."""
    tracing.flush()


@worker_process_init.connect
def collect_seldom(**kwargs: Any) -> None:
    """In each child of the pool, which does the work."""
    calm_collector()


@task_prerun.connect
@task_postrun.connect
def drop_stale_connections(**kwargs: Any) -> None:
    """Closes a database connection that is broken or older than CONN_MAX_AGE, as Django does around each
    request.
    """
    from django.db import close_old_connections  # noqa: PLC0415 - Django is not set up yet when this module is loaded

    close_old_connections()
