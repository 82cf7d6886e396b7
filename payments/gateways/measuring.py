"""Measures each gateway call: its outcome and its duration."""

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

# Prefixes of the gateway's codes for business refusals. Other codes are about the shop's key, app or
# contract.
BUSINESS_CODES = ("ACQ.", "AQC.", "TRADE_", "NO_BILL_", "BILL_")


class CallOutcome(StrEnum):
    ANSWERED = "answered"
    # A signed refusal of this request.
    REFUSED = "refused"
    # A refusal that any call would get: a wrong key, or an app that is unknown or lacks the permission.
    TURNED_AWAY = "turned_away"
    # An answer that is unsigned or malformed.
    BROKEN = "broken"
    # No connection, or no answer in time.
    SILENT = "silent"
    # Never made: the circuit breaker was open, or all places for calls were taken.
    SHUT = "shut"


@contextmanager
def gateway_call(
    method: str, about: Mapping[str, str] = _NOTHING, *, silences: tuple[type[BaseException], ...]
) -> Iterator[None]:
    """Wraps one call; records a span, a log line and a metric with the same outcome.

    `about` names the trade and refund for the log. `silences` are the exceptions which mean that nobody
    answered.
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
        if error is not None:  # a refusal is an answer: the span hasn't failed
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
    """The cause for the log: a code or a text of our own. Texts from outside may quote personal data."""
    match error:
        case GatewayRejected():
            return error.code
        case GatewayError():
            return str(error)
        case _:
            return type(error).__name__
