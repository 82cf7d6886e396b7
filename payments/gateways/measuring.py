"""What came of each call of the gateway, and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from payments.gateways.protocol import GatewayRejected, GatewayShut, GatewayUnsigned
from payments.metrics import GATEWAY_CALLS

# How the gateway's codes for refusals by its business begin. Others are about the shop's key, app or
# contract.
BUSINESS_CODES = ("ACQ.", "AQC.", "TRADE_")


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
def measured(method: str, *, silences: tuple[type[BaseException], ...]) -> Iterator[None]:
    """Around one call. `silences` are the exceptions that mean that nobody answered."""
    started = time.monotonic()
    outcome = CallOutcome.BROKEN
    try:
        yield
        outcome = CallOutcome.ANSWERED
    except Exception as error:
        outcome = outcome_of(error, silences)
        raise
    finally:
        GATEWAY_CALLS.labels(method, outcome).observe(time.monotonic() - started)


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
