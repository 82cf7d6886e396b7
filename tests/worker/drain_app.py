"""A Celery app with the shop's worker steps and one task that records its runs."""

import os
import time
from pathlib import Path

from celery import Celery

from worker.draining import DrainOnTerm
from worker.liveness import TouchWhileConsuming
from worker.lost_broker import guard_channels

app = Celery("drain_probe")  # Celery itself reads CELERY_BROKER_URL
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_default_queue="probe",
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"socket_timeout": 5},
)
app.steps["consumer"].update({DrainOnTerm, TouchWhileConsuming})
guard_channels()


@app.task(name="probe.work")
def work(name: str, seconds: float) -> None:
    """One line at the start and one at the end; short appends are atomic."""
    note("started", name)
    time.sleep(seconds)
    note("finished", name)


def note(log: str, name: str) -> None:
    with (Path(os.environ["PROBE_FOLDER"]) / log).open("a") as file:
        file.write(f"{name}\n")
