"""A Celery app for the tests of the nodes themselves: its tasks write files, which show what ran."""

import os
import time
from pathlib import Path

from celery import Celery

app = Celery("probe")  # Celery itself reads CELERY_BROKER_URL
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    task_default_queue="probe",
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 2,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
        "socket_timeout": 5,
    },
)


@app.task(name="probe.mark")
def mark(name: str, seconds: float = 0) -> None:
    """Writes `<name>.started` and, after this many seconds, `<name>.done`."""
    folder = Path(os.environ["PROBE_FOLDER"])
    (folder / f"{name}.started").touch()
    time.sleep(seconds)
    (folder / f"{name}.done").touch()
