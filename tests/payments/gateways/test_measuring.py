"""Outcomes of calls are classified by who has to act on them."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import REGISTRY

from payments.gateways.measuring import CallOutcome, gateway_call
from payments.gateways.protocol import (
    GatewayRejected,
    GatewayShut,
    GatewayUnreachable,
    GatewayUnsigned,
    Refusal,
)
from shop import telemetry, tracing
from tests.written import written_lines


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
            with gateway_call(method, silences=(TimeoutError,)):
                pass
        else:
            with pytest.raises(type(error)), gateway_call(method, silences=(TimeoutError,)):
                raise error
        assert {other: count(method, other) for other in CallOutcome if count(method, other)} == {outcome: 1}


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    memory = InMemorySpanExporter()
    telemetry.record(SimpleSpanProcessor(memory))
    yield memory
    tracing.record_with(None)


@pytest.mark.parametrize(
    ("error", "outcome", "cause", "status"),
    [
        (None, "answered", {}, StatusCode.UNSET),
        (rejected("ACQ.TRADE_NOT_EXIST"), "refused", {"error": "ACQ.TRADE_NOT_EXIST"}, StatusCode.UNSET),
        (rejected("40002"), "turned_away", {"error": "40002"}, StatusCode.ERROR),
        (GatewayUnreachable("code 20000"), "broken", {"error": "code 20000"}, StatusCode.ERROR),
        (RuntimeError("of buyer lufei"), "broken", {"error": "RuntimeError"}, StatusCode.ERROR),
        (caused_by(TimeoutError()), "silent", {"error": "no answer"}, StatusCode.ERROR),
        (GatewayShut("all places are taken"), "shut", {"error": "all places are taken"}, StatusCode.ERROR),
    ],
)
def test_metric_span_and_line_name_the_same_outcome(
    exporter: InMemorySpanExporter,
    error: Exception | None,
    outcome: CallOutcome,
    cause: dict[str, str],
    status: StatusCode,
) -> None:
    before = count("trade.query", outcome)
    allowed = nullcontext() if error is None else pytest.raises(type(error))
    with (
        written_lines() as written,
        allowed,
        gateway_call("trade.query", {"out_trade_no": "P1"}, silences=(TimeoutError,)),
    ):
        if error is not None:
            raise error
    [span] = exporter.get_finished_spans()
    [line] = written.of("gateway_called")
    assert span.attributes == {"out_trade_no": "P1", "outcome": outcome}
    assert span.status.status_code is status
    assert {name: line[name] for name in ("method", "out_trade_no", "outcome", *cause)} == {
        "method": "trade.query",
        "out_trade_no": "P1",
        "outcome": outcome,
        **cause,
    }
    assert ("error" in line) == bool(cause)
    assert count("trade.query", outcome) == before + 1
