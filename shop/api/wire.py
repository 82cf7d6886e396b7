"""What answers are made of.

Each `Output` is the one definition of a body: views fill it in, msgspec writes it, and OpenAPI describes it.
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

# How soon to ask again, in seconds: for what a worker decides; for what a buyer is just paying; for a refund,
# which moves with staff and with Alipay; and for a dependency that is down: nobody knows when it is back, and
# clients shouldn't hammer it.
WORKER_S, PAYMENT_S, REFUND_S, DEPENDENCY_S = 1, 2, 5, 2


class Output(msgspec.Struct):
    """A body of an answer, or a part of one. A field that is UNSET isn't in it."""


class ErrorOutput(Output):
    """Why something was refused: the whole body, or the part of an answer that says so later."""

    code: int
    error: str
    msg: str
    details: dict[str, Any]


def error_body(slug: str, text: str, details: Mapping[str, Any]) -> ErrorOutput:
    """The one form of a refusal."""
    return ErrorOutput(code=errors.registry()[slug].code, error=slug, msg=text, details=dict(details))


def yuan(amount: Decimal) -> str:
    """An amount as the API shows it: `19.90`."""
    return f"{amount:.2f}"


def moment(at: datetime) -> str:
    """A moment as the API shows it: ISO 8601 in Shanghai time, to the second."""
    return timezone.localtime(at).isoformat(timespec="seconds")


def moment_or_none(at: datetime | None) -> str | None:
    return None if at is None else moment(at)


def retry_after(seconds: int) -> dict[str, str]:
    """The header that says when to ask again."""
    return {"Retry-After": str(seconds)}


def written(output: Output | msgspec.Raw) -> bytes:
    """The body as JSON; a `Raw` is JSON already."""
    return _ENCODER.encode(output)


def as_builtins(output: Output) -> Any:
    """The body as dictionaries, lists and strings, for whoever writes JSON otherwise."""
    return msgspec.to_builtins(output, enc_hook=_translated)


def _translated(value: Any) -> str:
    """The details of a refusal hold texts in whatever language the request is answered in."""
    if isinstance(value, Promise | str):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no part of an answer")


_ENCODER = msgspec.json.Encoder(enc_hook=_translated)


def enveloped(body: bytes) -> bytes:
    """The body of an answer in the envelope of success, as `project.api.envelope` puts it around what goes
    through DRF.
    """
    return _ENVELOPE + body + b"}"
