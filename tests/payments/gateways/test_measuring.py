"""What came of a call is told apart by who has to do something about it."""

import pytest
from prometheus_client import REGISTRY

from payments.gateways.measuring import CallOutcome, measured
from payments.gateways.protocol import (
    GatewayRejected,
    GatewayShut,
    GatewayUnreachable,
    GatewayUnsigned,
    Refusal,
)


def rejected(code: str) -> GatewayRejected:
    return GatewayRejected(Refusal.OTHER, code, is_final=False)


def caused_by(cause: Exception) -> GatewayUnreachable:
    error = GatewayUnreachable("no answer")
    error.__cause__ = cause
    return error


def count(method: str, outcome: CallOutcome) -> float:
    return (
        REGISTRY.get_sample_value("gateway_call_seconds_count", {"method": method, "outcome": outcome}) or 0
    )


CASES: dict[CallOutcome, list[Exception | None]] = {
    CallOutcome.ANSWERED: [None],
    CallOutcome.REFUSED: [
        rejected("ACQ.TRADE_NOT_EXIST"),
        rejected("TRADE_NOT_EXIST"),
        rejected("AQC.SYSTEM_ERROR"),
    ],
    CallOutcome.TURNED_AWAY: [
        rejected("isv.insufficient-isv-permissions"),
        rejected("40002"),
        GatewayUnsigned("unsigned error 40002"),
    ],
    CallOutcome.BROKEN: [
        caused_by(ValueError("no JSON")),
        GatewayUnreachable("code 20000"),
        RuntimeError("a fault of ours"),
    ],
    CallOutcome.SILENT: [caused_by(TimeoutError())],
    CallOutcome.SHUT: [GatewayShut("the circuit breaker is open")],
}


def test_every_outcome_has_a_case() -> None:
    assert set(CASES) == set(CallOutcome)


@pytest.mark.parametrize("outcome", CASES)
def test_outcome(outcome: CallOutcome) -> None:
    for number, error in enumerate(CASES[outcome]):
        method = f"{outcome}{number}"
        if error is None:
            with measured(method, silences=(TimeoutError,)):
                pass
        else:
            with pytest.raises(type(error)), measured(method, silences=(TimeoutError,)):
                raise error
        assert {other: count(method, other) for other in CallOutcome if count(method, other)} == {outcome: 1}
