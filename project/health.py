"""Liveness and readiness: the process answers, and its dependencies are there."""

import structlog
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from shop import valkey
from shop.domain import sql

log = structlog.get_logger(__name__)


@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers.

    Nothing else is asked, so that a database that is away doesn't get the web process killed.
    """
    return JsonResponse({"status": "ok"})


@require_GET
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when orders can be taken.

    That needs a database that writes; Valkey is reported, and needed by carts and checkouts.
    """
    states = {"database": _database_state(), "valkey": "ok" if _valkey_answers() else "unreachable"}
    return JsonResponse(states, status=200 if states["database"] == "ok" else 503)


# Fails as an order request's own INSERT would, and adds no row.
_WRITE_NOTHING = (
    "INSERT INTO shop_orderrequest (account_id) SELECT account_id FROM shop_orderrequest WHERE false"
)


def _database_state() -> str:
    """What keeps a request for an order from being stored, if anything.

    No row is written, but all is there that writing one needs.
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
