"""The control API's faults."""

from flask import Response, jsonify
from werkzeug.exceptions import NotFound

from payments.simulator.control.base import blueprint, read_json, simulation
from payments.simulator.fault_kinds import KINDS
from payments.simulator.views import view_row, view_rows


@blueprint.get("/faults")
def list_faults() -> Response:
    return jsonify(faults=view_rows(simulation().faults.list_rules()))


@blueprint.post("/faults")
def add_fault() -> tuple[Response, int]:
    return jsonify(view_row(simulation().faults.add(read_json()))), 201


@blueprint.delete("/faults")
def clear_faults() -> Response:
    return jsonify(removed=simulation().faults.remove())


@blueprint.delete("/faults/<int:fault_id>")
def remove_fault(fault_id: int) -> Response:
    if not simulation().faults.remove(fault_id):
        raise NotFound(f"there is no fault {fault_id}")
    return jsonify(removed=1)


@blueprint.get("/faults/kinds")
def list_kinds() -> Response:
    """All kinds of faults, with their parameters and defaults."""
    return jsonify(kinds=[kind.__dict__ for kind in KINDS.values()])
