"""The id of a request: its answer, its log lines and the rows that it writes carry it.

An id has the shape of a W3C trace id, so that the same 32 digits find a purchase in the log, at the desk and
among its spans.
"""

import random
import re
from collections.abc import MutableMapping
from typing import Any

from shop.client_address import is_trusted_proxy

KEY = "shop.request_id"
# UUIDs, ULIDs and nginx's `$request_id` among others. Nothing that a log, a header or a search would have to
# quote.
_SHAPE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def identify(environ: MutableMapping[str, Any]) -> str:
    """The request's id: a trusted proxy's `X-Request-ID`, or a new one. Found once, then kept in `environ`.

    Anybody else's is ignored: it would let a client write into the trace of somebody else's purchase.
    """
    known: str | None = environ.get(KEY)
    if known is not None:
        return known
    given = environ.get("HTTP_X_REQUEST_ID")
    is_believed = (
        given is not None and _SHAPE.fullmatch(given) and is_trusted_proxy(environ.get("REMOTE_ADDR", ""))
    )
    request_id = given if given is not None and is_believed else f"{random.getrandbits(128):032x}"
    environ[KEY] = request_id
    return request_id
