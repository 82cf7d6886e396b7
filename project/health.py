"""Liveness and readiness: whether the process responds, and whether its dependencies do."""

import structlog
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from shop import valkey
from shop.domain import sql

log = structlog.get_logger(__name__)


@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """The process responds.

    Nothing else is checked, so an unreachable database doesn't get the web process killed.
    """
    return JsonResponse({"status": "ok"})


@require_GET
def readyz(request: HttpRequest) -> HttpResponse:
    """200 if orders can be accepted, else 503.

    That requires a database that accepts writes. Valkey's state is only reported: carts and checkouts need
    it, orders don't.
    """
    states = {"database": _database_state(), "valkey": "ok" if _valkey_answers() else "unreachable"}
    return JsonResponse(states, status=200 if states["database"] == "ok" else 503)


# Fails whenever the INSERT of an order request would, and adds no row.
_WRITE_NOTHING = (
    "INSERT INTO shop_orderrequest (account_id) SELECT account_id FROM shop_orderrequest WHERE false"
)


def _database_state() -> str:
    """`ok` if an order request could be stored now, else `unwritable` or `unreachable`.

    Nothing is written, but PostgreSQL checks that everything needed for writing a row is there.
    """
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
