"""The building blocks of response bodies.

Each `Output` is the only definition of its body: views fill it in, msgspec encodes it, and the OpenAPI schema
is generated from it.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from django.utils import timezone
from django.utils.functional import Promise
from msgspec import Meta

from shop import errors

Yuan = Annotated[str, Meta(pattern=r"^[0-9]{1,10}\.[0-9]{2}$")]
Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
_ENVELOPE = b'{"code":%d,"msg":null,"data":' % errors.SUCCESS_CODE

# `Retry-After` in seconds: while a worker decides; while a buyer is paying; for a refund, which waits for
# staff and for Alipay; and while a dependency is down, so that clients don't hammer it.
WORKER_S, PAYMENT_S, REFUND_S, DEPENDENCY_S = 1, 2, 5, 2


class Output(msgspec.Struct):
    """The body of a response, or a part of one. UNSET fields are left out."""


class ErrorOutput(Output):
    """Why something was refused: the body of an error response, or the `error` of an order or checkout."""

    code: int
    error: str
    msg: str
    details: dict[str, Any]


def error_body(slug: str, text: str, details: Mapping[str, Any]) -> ErrorOutput:
    """The body of a refusal; the code comes from the registry."""
    return ErrorOutput(code=errors.registry()[slug].code, error=slug, msg=text, details=dict(details))


def yuan(amount: Decimal) -> str:
    """An amount in yuan as the API shows it: `19.90`."""
    return f"{amount:.2f}"


def moment(at: datetime) -> str:
    """A moment as the API shows it: ISO 8601 in Shanghai time, to the second."""
    return timezone.localtime(at).isoformat(timespec="seconds")


def moment_or_none(at: datetime | None) -> str | None:
    return None if at is None else moment(at)


def retry_after(seconds: int) -> dict[str, str]:
    """The `Retry-After` header."""
    return {"Retry-After": str(seconds)}


def written(output: Output | msgspec.Raw) -> bytes:
    """The body as JSON. A `Raw` is encoded already."""
    return _ENCODER.encode(output)


def as_builtins(output: Output) -> Any:
    """The body as dictionaries, lists and strings, for DRF's renderers."""
    return msgspec.to_builtins(output, enc_hook=_translated)


def _translated(value: Any) -> str:
    """Renders the lazy translations in a refusal's details in the request's language."""
    if isinstance(value, Promise | str):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no part of an answer")


_ENCODER = msgspec.json.Encoder(enc_hook=_translated)


def enveloped(body: bytes) -> bytes:
    """The body in the success envelope, the same that `project.api.envelope` adds to DRF's responses."""
    return _ENVELOPE + body + b"}"
