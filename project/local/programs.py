"""What makes up the shop on one machine: the programs with their arguments, and the environment that they
share.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from project.local.ports import LOOPBACK
from project.local.state import ROOT
from worker import policy

# As Celery's command line takes them.
DATABASE_QUEUES, GATEWAY_QUEUES, ALL_QUEUES = map(
    ",".join, (policy.DATABASE_QUEUES, policy.GATEWAY_QUEUES, policy.QUEUES)
)


@dataclass(frozen=True)
class Program:
    """One line of the list. `stop_s` is how long it may take to finish its work when asked to end."""

    name: str
    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop_s: float = 10


# Connections: as many as descriptors allow for, since a silent one costs little and ends after ten seconds.
# Threads: a rush starts far more than work at once, and each request wakes the one that has slept longest.
SERVER_OPTIONS = (
    *("--http", "1", "--no-ws", "--respawn-failed-workers", "--workers-kill-timeout", "45"),
    *("--backpressure", "4096", "--backlog", "4096"),
    *("--http1-header-read-timeout", "10000", "--http1-buffer-size", "65536"),
    *("--blocking-threads-idle-timeout", "5"),
)


# Threads that granian may start in each process. Nearly all of them wait for clients' bytes or for a place:
# settings.SERVER_THREADS.
SERVER_ENVIRONMENT = {"GRANIAN_BLOCKING_THREADS": os.environ.get("GRANIAN_BLOCKING_THREADS", "512")}


def web_program(port: int, *, workers: int = 2) -> Program:
    serve = [
        "granian",
        "--interface",
        "wsgi",
        "project.wsgi:application",
        "--host",
        LOOPBACK,
        "--port",
        str(port),
    ]
    return Program("web", [*program(*serve), "--workers", str(workers), *SERVER_OPTIONS], SERVER_ENVIRONMENT)


def worker_program(
    *, name: str = "worker", queues: str = DATABASE_QUEUES, concurrency: int = 2, events: bool = False
) -> Program:
    """`events` feeds Flower."""
    # Behind the web processes: in a rush buyers are first heard, and their orders made a moment later.
    return _worker(name, queues, ["--concurrency", str(concurrency)], niceness=10, events=events)


def gateway_program(*, name: str = "gateway", events: bool = False) -> Program:
    """Waits for Alipay, so that no other worker has to.

    One process: its threads share connections, circuit breaker and rate.
    """
    # One thread for each task that may run at once, with a database connection; GATEWAY_CONCURRENCY calls are
    # made beside them.
    pool = ["--pool", "threads", "--concurrency", "4"]
    return _worker(name, GATEWAY_QUEUES, pool, niceness=12, events=events)


def _worker(name: str, queues: str, pool: list[str], *, niceness: int, events: bool) -> Program:
    celery = program("celery", "-A", "worker", "worker", "-Q", queues)
    options = ["--without-gossip", "--without-mingle", "-O", "fair", *(["-E"] if events else [])]
    # A task's hard limit is 30 s, so nothing that is still running after that will end by itself.
    return Program(
        name, ["nice", "-n", str(niceness), *celery, "-n", f"{name}@%h", *pool, *options], stop_s=35
    )


def beat_program() -> Program:
    return Program("beat", program("celery", "-A", "worker", "beat", "--pidfile="))


def flower_program(port: int) -> Program:
    return Program(
        "flower", program("celery", "-A", "worker", "flower", f"--address={LOOPBACK}", f"--port={port}")
    )


def simulator_program(port: int, folder: Path) -> Program:
    return Program(
        "simulator",
        [sys.executable, "-m", "payments.simulator", "serve", "--state", str(folder), "--port", str(port)],
    )


def build_environment(
    *,
    database_url: str,
    valkey_url: str,
    web_port: int,
    simulator_port: int,
    simulator_env: Mapping[str, str],
    secret_key: str,
    demo_password: str,
) -> dict[str, str]:
    """The environment of every program.

    `valkey_url` is the server's, without a database number; `simulator_env` is what the simulator's `init`
    has printed: the merchant's ids and key paths.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO_", "ALIPAY_", "CELERY_", "FLOWER_"))
    }
    return inherited | {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DJANGO_SECRET_KEY": secret_key,
        "DATABASE_URL": database_url,
        "CELERY_BROKER_URL": f"{valkey_url}/0",
        "REDIS_URL": f"{valkey_url}/1",
        "PUBLIC_URL": f"http://{LOOPBACK}:{web_port}",
        "WHITENOISE_USE_FINDERS": "true",  # static files straight from the packages: no collectstatic
        "LOG_FORMAT": "console",
        "DEMO_PASSWORD": demo_password,
        "REGISTRATION_OPEN": "true",
        **simulator_env,
        "ALLOW_SIMULATOR": "true",
        "ALIPAY_GATEWAY_URL": f"http://{LOOPBACK}:{simulator_port}/gateway.do",
    }


def program(name: str, *args: str) -> list[str]:
    """A console script of the environment that we run in, by its absolute path: nothing depends on PATH."""
    return [str(Path(sys.executable).parent / name), *args]
