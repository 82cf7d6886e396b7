"""What a poller compares: an order's (status, version). Valkey answers while nothing changes; PostgreSQL is the truth.

Whoever changes an order marks it as changed when that is committed. For the time of the mark everybody reads PostgreSQL, and nobody can
remember what they read before the change. A mark that is lost (a killed process, a Valkey that is away) costs `REMEMBERED_S` at most.
"""

from collections.abc import Collection

import structlog
from django.db import connection, transaction

from shop import valkey
from shop.domain.login import TokenDigest

log = structlog.get_logger(__name__)

REMEMBERED_S = 10
MARK_MS = 2000
_MARK = "changed"

# An order's number, status and version stand in its request's row until a worker has made the order.
_READ = """
    SELECT coalesce(made.status, request.status), coalesce(made.version, 0)
    FROM shop_orderrequest AS request LEFT JOIN shop_order AS made ON made.request_id = request.id
    WHERE request.order_number = %s AND request.account_id = %s
"""


def read_version(*, account_id: int, order_number: str) -> tuple[str, int] | None:
    """(status, version) of the buyer's order, its request's status and 0 while there is none, or None if the buyer has no such order."""
    key = valkey.version_key(order_number)
    try:
        remembered = valkey.client().get(key)
    except valkey.Unreachable:
        return _read(account_id, order_number)
    if remembered and remembered != _MARK:
        owner, status, version = remembered.split(":")
        return (status, int(version)) if int(owner) == account_id else None
    found = _read(account_id, order_number)
    if found is not None and remembered is None:
        _remember(key, account_id, found)
    return found


def is_known_unchanged(digest: TokenDigest, order_number: str, version: tuple[str, int]) -> bool:
    """Whether Valkey alone can tell the token's buyer that their order is still at `version`: what a patient poller asks again and again.

    False says nothing. A token that ended within `REMEMBERED_S` may still be told so much, to somebody who knows it, the order and its version.
    """
    try:
        account_id, remembered = valkey.client().mget(valkey.poller_key(digest), valkey.version_key(order_number))
    except valkey.Unreachable:
        return False
    return account_id is not None and remembered == _remembered(int(account_id), version)


def remember_poller(digest: TokenDigest, account_id: int) -> None:
    """Notes whose token it is, for `is_known_unchanged`. The caller has just looked it up."""
    try:
        valkey.client().set(valkey.poller_key(digest), account_id, ex=REMEMBERED_S)
    except valkey.Unreachable as error:
        log.warning("poller_not_remembered", error=str(error))


def forget_poller(digest: TokenDigest) -> None:
    """The token has ended."""
    try:
        valkey.client().delete(valkey.poller_key(digest))
    except valkey.Unreachable as error:
        log.warning("poller_not_forgotten", error=str(error))


def mark_changed(order_numbers: Collection[str]) -> None:
    """Lets pollers of these orders look at PostgreSQL from the commit of the caller's transaction on."""
    if order_numbers:
        transaction.on_commit(lambda: _mark(order_numbers))


def _read(account_id: int, order_number: str) -> tuple[str, int] | None:
    with connection.cursor() as cursor:
        cursor.execute(_READ, [order_number, account_id])
        found: tuple[str, int] | None = cursor.fetchone()
    return found


def _remember(key: str, account_id: int, version: tuple[str, int]) -> None:
    try:
        valkey.client().set(key, _remembered(account_id, version), nx=True, ex=REMEMBERED_S)
    except valkey.Unreachable as error:
        log.warning("version_not_remembered", error=str(error))


def _remembered(account_id: int, version: tuple[str, int]) -> str:
    return f"{account_id}:{version[0]}:{version[1]}"


def _mark(order_numbers: Collection[str]) -> None:
    try:
        pipeline = valkey.client().pipeline(transaction=False)
        for order_number in order_numbers:
            pipeline.set(valkey.version_key(order_number), _MARK, px=MARK_MS)
        pipeline.execute()
    except valkey.Unreachable as error:
        log.warning("change_not_marked", orders=len(order_numbers), error=str(error))
