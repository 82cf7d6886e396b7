"""What came of each call of the gateway, and how long it took."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from types import MappingProxyType

import structlog

from payments.gateways.protocol import GatewayError, GatewayRejected, GatewayShut, GatewayUnsigned
from payments.metrics import GATEWAY_CALLS
from shop import tracing

log = structlog.get_logger(__name__)

_NOTHING: Mapping[str, str] = MappingProxyType({})

# How the gateway's codes for refusals by its business begin. Others are about the shop's key, app or
# contract.
BUSINESS_CODES = ("ACQ.", "AQC.", "TRADE_", "NO_BILL_", "BILL_")


class CallOutcome(StrEnum):
    ANSWERED = "answered"
    # A proven no to this request.
    REFUSED = "refused"
    # No to whatever this shop asks: a wrong key, an app that isn't known or may not do this.
    TURNED_AWAY = "turned_away"
    # An answer that proves nothing.
    BROKEN = "broken"
    # Nobody there, or no answer in time.
    SILENT = "silent"
    # Never made: the circuit breaker was open, or all places for calls were taken.
    SHUT = "shut"


@contextmanager
def gateway_call(
    method: str, about: Mapping[str, str] = _NOTHING, *, silences: tuple[type[BaseException], ...]
) -> Iterator[None]:
    """Around one call: its span, its line in the log and its place in the metric, with one outcome.

    `about` says what the call is for. `silences` are the exceptions that mean that nobody answered.
    """
    began_at = time.monotonic()
    outcome: CallOutcome = CallOutcome.BROKEN
    error: Exception | None = None
    try:
        with tracing.call(method, dict(about)):
            try:
                yield
                outcome = CallOutcome.ANSWERED
            except Exception as raised:
                outcome, error = outcome_of(raised, silences), raised
                if outcome is not CallOutcome.REFUSED:
                    raise
            finally:
                tracing.annotate(outcome=outcome.value)
        if error is not None:  # a refusal is an answer, so its span has not failed
            raise error
    finally:
        took_s = time.monotonic() - began_at
        GATEWAY_CALLS.labels(method, outcome).observe(took_s)
        cause: dict[str, str] = {} if error is None else {"error": _cause_of(error)}
        log.info(
            "gateway_called", method=method, **about, outcome=outcome.value, **cause, ms=round(took_s * 1000)
        )


def outcome_of(error: Exception, silences: tuple[type[BaseException], ...]) -> CallOutcome:
    match error:
        case GatewayShut():
            return CallOutcome.SHUT
        case GatewayRejected():
            return CallOutcome.REFUSED if error.code.startswith(BUSINESS_CODES) else CallOutcome.TURNED_AWAY
        case GatewayUnsigned():
            return CallOutcome.TURNED_AWAY
        case _:
            return CallOutcome.SILENT if isinstance(error.__cause__, silences) else CallOutcome.BROKEN


def _cause_of(error: Exception) -> str:
    """What the log says of it: a code, or our own words. Texts of others may quote what they are about."""
    match error:
        case GatewayRejected():
            return error.code
        case GatewayError():
            return str(error)
        case _:
            return type(error).__name__
