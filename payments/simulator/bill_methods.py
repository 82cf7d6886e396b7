"""The call that gives a bill's link."""

from typing import Any

from payments.simulator.errors import business_error
from payments.simulator.protocol import GatewayRequest
from payments.simulator.simulation import Simulation
from payments.simulator.store import Database


def query_bill_link(sim: Simulation, db: Database, request: GatewayRequest) -> dict[str, Any]:
    raise business_error("BILL_NOT_EXIST")
