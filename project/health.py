"""Is the process alive, are its dependencies there, and how much work is waiting."""

from datetime import timedelta

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.registry import REGISTRY

from shop import broker_address, clock, redis_address, valkey
from shop.domain import sql, work
from worker.tasks import SWEPT

log = structlog.get_logger(__name__)


@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers. Nothing else is asked, so that a database that is away doesn't get the web process killed."""
    return JsonResponse({"status": "ok"})


@require_GET
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when orders can be taken. That needs a database that writes; Valkey is reported, and needed by carts and checkouts."""
    states = {"database": _database_state(), "valkey": "ok" if _valkey_answers() else "unreachable"}
    return JsonResponse(states, status=200 if states["database"] == "ok" else 503)


@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus: this process's counters, and gauges of the work rows as the database has them."""
    registry = CollectorRegistry()
    due = Gauge("work_due_rows", "Rows that wait for a worker.", ["table"], registry=registry)
    oldest = Gauge("work_oldest_due_seconds", "How long the oldest of them has been due.", ["table"], registry=registry)
    dead = Gauge("work_dead_rows", "Rows that were given up and wait for people.", ["table"], registry=registry)
    now = clock.database_now()
    for swept in SWEPT:
        rows = swept.model.objects
        table = work.table_of(swept.model)
        waiting, first = work.count_due(swept.model, now=now)
        due.labels(table).set(waiting)
        oldest.labels(table).set((now - first if first else timedelta()).total_seconds())
        dead.labels(table).set(rows.filter(dead_at__isnull=False).count())
    _add_valkey_fill(registry)
    return HttpResponse(generate_latest(registry) + generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


def _add_valkey_fill(registry: CollectorRegistry) -> None:
    """How full the servers are. A full one refuses what it is given: carts and checkouts, or wake-ups, which the sweep makes up for."""
    fill = Gauge("valkey_memory_used_ratio", "Used memory over the limit; 0 without a limit.", ["server"], registry=registry)
    reachable = Gauge("valkey_reachable", "1 when the server answered.", ["server"], registry=registry)
    servers = {"store": redis_address.parse(settings.REDIS_URL), "broker": broker_address.parse(settings.CELERY_BROKER_URL).redis}
    for name, address in servers.items():
        if address is None:  # RabbitMQ
            continue
        try:
            with redis_address.open_client(address, socket_timeout=1, socket_connect_timeout=1) as client:
                memory = client.info("memory")
        except redis.RedisError:
            reachable.labels(name).set(0)
            continue
        reachable.labels(name).set(1)
        fill.labels(name).set(memory["used_memory"] / memory["maxmemory"] if memory["maxmemory"] else 0)


# Fails as an order request's own INSERT would, and adds no row.
_WRITE_NOTHING = "INSERT INTO shop_orderrequest (account_id) SELECT account_id FROM shop_orderrequest WHERE false"


def _database_state() -> str:
    """What keeps a request for an order from being stored, if anything. No row is written, but all is there that writing one needs."""
    try:
        sql.write(_WRITE_NOTHING, [])
    except DatabaseError as error:
        log.warning("not_ready", error=str(error))
        return "unwritable" if connection.connection is not None else "unreachable"
    return "ok"


def _valkey_answers() -> bool:
    try:
        return bool(valkey.client().ping())
    except valkey.Unreachable:
        return False
