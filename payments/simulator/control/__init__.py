"""The control API: what tests and the panel steer the simulator with. Described by /control/openapi.json."""

from payments.simulator.control import clock, faults, notifications, openapi, overview, state, trades
from payments.simulator.control.base import blueprint

# Importing the parts is what adds their routes to the blueprint.
__all__ = ["blueprint", "clock", "faults", "notifications", "openapi", "overview", "state", "trades"]
