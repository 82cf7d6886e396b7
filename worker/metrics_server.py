"""A small HTTP server at which Prometheus scrapes a worker or beat. Only for internal networks."""

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
    """Serves metrics from the service's main process, which outlives the pool's children.

    If the port is taken, the process works without.
    """
    if not settings.METRICS_LISTEN:
        return None
    host, _, port = settings.METRICS_LISTEN.rpartition(":")
    try:
        server, _ = start_http_server(int(port), host, service_registry())
    except OSError as error:
        log.warning("metrics_not_served", listen=settings.METRICS_LISTEN, error=str(error))
        return None
    # The pool's children must not keep the port after this process has ended.
    os.register_at_fork(after_in_child=server.socket.close)
    return server
