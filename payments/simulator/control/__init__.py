"""The control API, which tests and the panel use to control the simulator. Described by
/control/openapi.json.
"""

from payments.simulator.control import clock, faults, notifications, openapi, overview, state, trades
from payments.simulator.control.base import blueprint

# These modules add their routes to the blueprint when they are imported.
__all__ = ["blueprint", "clock", "faults", "notifications", "openapi", "overview", "state", "trades"]
