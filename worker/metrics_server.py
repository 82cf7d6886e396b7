"""Where Prometheus scrapes a worker, the gateway worker or beat: a small HTTP server beside them, in networks
of our own only.
"""

import os
from typing import Any
from wsgiref.simple_server import WSGIServer

import structlog
from celery.signals import beat_init, worker_init
from django.conf import settings
from prometheus_client import start_http_server

from shop.metric_files import service_registry

log = structlog.get_logger(__name__)


@worker_init.connect
@beat_init.connect
def serve_metrics(**kwargs: Any) -> WSGIServer | None:
    """In the service's first process, which outlives those of the pool.

    A port that is taken is no reason not to work.
    """
    if not settings.METRICS_LISTEN:
        return None
    host, _, port = settings.METRICS_LISTEN.rpartition(":")
    try:
        server, _ = start_http_server(int(port), host, service_registry())
    except OSError as error:
        log.warning("metrics_not_served", listen=settings.METRICS_LISTEN, error=str(error))
        return None
    # The pool's children must not keep the port when this process is gone.
    os.register_at_fork(after_in_child=server.socket.close)
    return server
