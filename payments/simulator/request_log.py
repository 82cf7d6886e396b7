"""The log of gateway requests, for the panel, the control API and tests."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from payments.simulator.faults import Fault
from payments.simulator.fields import list_undocumented
from payments.simulator.protocol import GatewayRequest
from payments.simulator.simulation import Simulation
from payments.simulator.store import dump

# Old rows are removed once per this many requests. Doing it each time would double the cost of logging.
PRUNE_EVERY = 500


@dataclass(frozen=True)
class Exchange:
    """A gateway request and its outcome; `checked` is None if the envelope was refused."""

    verb: str
    params: Mapping[str, str]
    checked: GatewayRequest | None
    inner: Mapping[str, Any]
    fault: Fault | None
    answer: str
    status: int
    started: float


def log_request(sim: Simulation, exchange: Exchange) -> None:
    params, checked, inner = exchange.params, exchange.checked, exchange.inner
    with sim.store.transaction() as db:
        request_id = db.insert(
            "gateway_request",
            at=sim.now(),
            real_at=time.time(),
            verb=exchange.verb,
            app_id=params.get("app_id", ""),
            method=params.get("method", ""),
            out_trade_no=_order_of(checked, inner),
            params=dump(dict(params)),
            unknown_fields=dump(list_undocumented(checked.method, checked.biz) if checked else []),
            fault=exchange.fault.kind if exchange.fault else "",
            http_status=exchange.status,
            code=str(inner.get("code", "")),
            sub_code=str(inner.get("sub_code", "")),
            answer=exchange.answer,
            duration_ms=(time.perf_counter() - exchange.started) * 1000,
        )
        if request_id % PRUNE_EVERY == 0:
            db.run(
                "DELETE FROM gateway_request WHERE request_id <= ?",
                request_id - sim.settings.request_log_size,
            )


def _order_of(checked: GatewayRequest | None, inner: Mapping[str, Any]) -> str:
    """The order of a call. With only a trade_no, it is the one that the answer names."""
    return (checked.out_trade_no if checked else "") or str(inner.get("out_trade_no", ""))
