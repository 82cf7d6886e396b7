"""The id of a request, carried by its response, its log lines and the rows that it writes.

It has the form of a W3C trace id, so that the same 32 digits find a purchase in the log, at the desk and in a
tracing backend.
"""

import random
import re
from collections.abc import MutableMapping
from typing import Any

from shop.client_address import is_trusted_proxy

KEY = "shop.request_id"
# Matches UUIDs, ULIDs and nginx's `$request_id`, among others, and nothing that would need quoting in a log,
# a header or a search.
_SHAPE = re.compile(r"[A-Za-z0-9._-]{8,64}")


def identify(environ: MutableMapping[str, Any]) -> str:
    """The request's id: a trusted proxy's `X-Request-ID`, or a new one. Determined once, then kept in
    `environ`.

    The header is ignored from anybody else, who could write into the trace of another buyer's purchase.
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
