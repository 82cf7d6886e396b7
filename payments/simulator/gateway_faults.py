"""Applies gateway faults to an answer's contents and to its bytes."""

import secrets
import threading
from collections.abc import Callable
from typing import Any

from payments.simulator.errors import GatewayError
from payments.simulator.faults import Fault
from payments.simulator.protocol import GatewayRequest
from payments.simulator.server import Delivery
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database

# These refuse the call before it has any effect, whatever their parameters.
NEVER_RUN = frozenset({"call_limited", "error_response"})
DRIP_CHUNKS = 20


def lets_through(fault: Fault | None) -> bool:
    """Whether the call takes effect although its answer will be wrong."""
    if fault is None:
        return True
    return fault.kind not in NEVER_RUN and bool(fault.params.get("after_commit", True))


def replace_inner(
    sim: Simulation, db: Database, fault: Fault, request: GatewayRequest, inner: dict[str, Any]
) -> dict[str, Any]:
    """The answer's contents with a fault that keeps the envelope intact."""
    refusals = {
        "unavailable": GatewayError("20000", "isp.unknow-error"),
        "system_error": GatewayError("40004", "ACQ.SYSTEM_ERROR"),
        "call_limited": GatewayError("40005", "isv.app-call-limited"),
        "error_response": GatewayError("40002", "isv.invalid-method"),
    }
    if fault.kind in refusals:
        return refusals[fault.kind].as_answer()
    if fault.kind == "other_trade":
        return {**inner, **_other_ids(db, request)}
    if fault.kind == "lone_brace":
        return {**inner, "store_name": "旗舰店 }"}
    return inner


def replace_body(fault: Fault, body: str) -> str:
    if fault.kind == "garbage":
        return "<html><body>系统繁忙，请稍后再试</body></html>"
    if fault.kind in {"empty", "http_error"}:
        return ""
    if fault.kind == "unsigned":
        return body[: body.rindex(',"sign":"')] + "}"
    if fault.kind == "bad_sign":
        start = body.rindex('"sign":"') + len('"sign":"')
        # Well-formed and as long as a signature, but of other content.
        return body[:start] + ("B" if body[start] == "A" else "A") + body[start + 1 :]
    return body


def find_delivery(fault: Fault) -> Delivery | None:
    """How to send the bytes; None for the ordinary way."""
    makers: dict[str, Callable[[dict[str, Any]], Delivery]] = {
        "hang": _hang,
        "disconnect": lambda _params: _send_nothing,
        "drip": _drip,
        "truncate": lambda _params: _send_half,
    }
    return makers[fault.kind](fault.params) if fault.kind in makers else None


def _other_ids(db: Database, request: GatewayRequest) -> dict[str, str]:
    """The ids of another trade of the same merchant, or made-up ones if there is none."""
    other = db.find(
        "SELECT out_trade_no, trade_no FROM trade WHERE app_id = ? AND out_trade_no != ? ORDER BY rowid DESC",
        request.merchant.app_id,
        request.out_trade_no,
    )
    if other is not None:
        return dict(other)
    return {
        "out_trade_no": f"OTHER{secrets.token_hex(8)}",
        "trade_no": f"2026010122001{secrets.randbelow(10**15):015d}",
    }


def _hang(params: dict[str, Any]) -> Delivery:
    def deliver(answer: bytes, send: Callable[[bytes], object], stopping: threading.Event) -> None:
        stopping.wait(float(params["seconds"]))

    return deliver


def _drip(params: dict[str, Any]) -> Delivery:
    def deliver(answer: bytes, send: Callable[[bytes], object], stopping: threading.Event) -> None:
        size = max(1, -(-len(answer) // DRIP_CHUNKS))
        for start in range(0, len(answer), size):
            send(answer[start : start + size])
            if stopping.wait(float(params["seconds"]) / DRIP_CHUNKS):
                return

    return deliver


def _send_nothing(answer: bytes, send: Callable[[bytes], object], stopping: threading.Event) -> None:
    """The connection closes as soon as this returns."""


def _send_half(answer: bytes, send: Callable[[bytes], object], stopping: threading.Event) -> None:
    """Content-Length has the length of the whole body, so clients can tell."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    send(head + separator + body[: len(body) // 2])
