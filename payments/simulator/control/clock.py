"""The control API's clock."""

from typing import Any

from flask import Response, jsonify

from payments.simulator.control.base import blueprint, engine, read_json, simulation
from payments.simulator.times import format_time

# A year and a day: long enough for the refund window to end, and short enough to bound a walk.
MAX_ADVANCE_S = 366 * 86_400
MAX_SCALE = 100_000


@blueprint.get("/clock")
def get_clock() -> Response:
    return jsonify(describe_clock())


@blueprint.post("/clock/advance")
def advance_clock() -> Response:
    """Moves the clock forward by `seconds`; with `walk` (the default) it stops at every due moment on the way
    and waits for its deliveries.
    """
    body = read_json()
    seconds = _number(body.get("seconds"), "seconds", MAX_ADVANCE_S)
    target = simulation().now() + seconds
    if body.get("walk", True):
        engine().walk(target)
    else:
        simulation().clock.jump_to(target)
        engine().wake()
    return jsonify(describe_clock())


@blueprint.put("/clock")
def set_clock() -> Response:
    """`scale`: virtual seconds per real second, 0 freezes the clock.

    `now`: a later moment, in seconds since the epoch.
    """
    body = read_json()
    if "scale" in body:
        simulation().clock.set_scale(_number(body["scale"], "scale", MAX_SCALE))
    if "now" in body:
        simulation().clock.jump_to(_number(body["now"], "now", simulation().now() + MAX_ADVANCE_S))
    engine().wake()
    return jsonify(describe_clock())


def _number(value: object, name: str, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{name} is a number from 0 to {most:.0f}")
    return float(value)


def describe_clock() -> dict[str, Any]:
    sim = simulation()
    now = sim.now()
    return {"now": now, "now_text": format_time(now), "scale": sim.clock.scale}
