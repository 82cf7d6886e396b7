"""The control API's blueprint and its conventions: JSON in, JSON out, errors as {"error": ...}."""

from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request
from werkzeug.exceptions import BadRequest, HTTPException

from payments.simulator.errors import GatewayError
from payments.simulator.notifier import Notifier
from payments.simulator.simulation import Simulation

blueprint = Blueprint("control", __name__, url_prefix="/control")

MAX_LIST = 1000


@blueprint.errorhandler(HTTPException)
def answer_http_error(error: HTTPException) -> tuple[Response, int]:
    return jsonify(error=error.description), error.code or 500


@blueprint.errorhandler(OverflowError)  # a number that is too large for the database
@blueprint.errorhandler(ValueError)
def answer_bad_value(error: Exception) -> tuple[Response, int]:
    return jsonify(error=str(error)), 400


@blueprint.errorhandler(GatewayError)
def answer_refusal(error: GatewayError) -> tuple[Response, int]:
    """The refusal that a buyer would see at the cashier."""
    return jsonify(error=error.sub_code, msg=error.sub_msg), 409


def simulation() -> Simulation:
    sim: Simulation = current_app.config["SIMULATION"]
    return sim


def engine() -> Notifier:
    notifier: Notifier = current_app.config["NOTIFIER"]
    return notifier


def read_json() -> dict[str, Any]:
    """The request's JSON object; an empty body is an empty object."""
    if not request.get_data():
        return {}
    body = request.get_json()
    if not isinstance(body, dict):
        raise BadRequest("send a JSON object")
    return body


def read_limit() -> int:
    text = request.args.get("limit", "100")
    if not text.isdigit() or not 1 <= int(text) <= MAX_LIST:
        raise BadRequest(f"limit is a number from 1 to {MAX_LIST}")
    return int(text)
