"""The control API's description in OpenAPI 3."""

from typing import Any

from flask import Response, jsonify

from payments.simulator.control.base import blueprint
from payments.simulator.fault_kinds import KINDS
from payments.simulator.faults import FILTERS
from payments.simulator.messages import MUTATIONS
from payments.simulator.settings import STATUSES, Settings

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
ANY: Schema = {"type": "object"}

PARAMETERS = {
    "out_trade_no": "the shop's order number",
    "notify_id": "a notification's id",
    "fault_id": "a fault rule's number",
    "app_id": "the merchant; needed only if several use the same order number",
    "status": "only this status",
    "state": "only this delivery state",
    "method": "only this API method",
    "limit": "the most rows to return, 1 to 1000; default 100",
}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


FAULT = _object(
    kind={"type": "string", "enum": list(KINDS)},
    params={"type": "object", "description": "see /control/faults/kinds"},
    probability={"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1},
    skip={"type": "integer", "minimum": 0, "default": 0, "description": "matching events to let pass first"},
    times={
        "type": ["integer", "null"],
        "minimum": 1,
        "default": 1,
        "description": "how often the rule applies; null for always",
    },
    seed={**TEXT, "description": "decides, with the probability, which events are hit"},
    **{name: {**TEXT, "description": "see `filters` in /control/faults/kinds"} for name in FILTERS},
)
FAULT["required"] = ["kind"]

CRAFT = _object(
    out_trade_no=TEXT,
    app_id=TEXT,
    trade_status={"type": "string", "enum": list(STATUSES)},
    url={**TEXT, "description": "instead of the trade's notify_url"},
    fields={"type": "object", "description": "values to override or add before signing"},
    remove={"type": "array", "items": TEXT},
    mutations={
        "type": "array",
        "items": _object(kind={"type": "string", "enum": list(MUTATIONS)}, params=ANY),
    },
)
CRAFT["required"] = ["out_trade_no"]

SETTINGS: Schema = {
    "type": "object",
    "properties": {name: {"default": value} for name, value in Settings().__dict__.items()},
}
BUYER = _object(buyer={**TEXT, "description": "a login name; every name has an account"})
CONSOLE_REFUND = _object(
    amount={**TEXT, "description": "in yuan; default: all that is left"},
    out_request_no={**TEXT, "description": "default: a number that the console generates"},
    reason=TEXT,
)
ADVANCE = _object(
    seconds=NUMBER,
    walk={**FLAG, "default": True, "description": "stop at every due moment and wait for its deliveries"},
)
ADVANCE["required"] = ["seconds"]
CLOCK = _object(
    scale={**NUMBER, "description": "virtual seconds per real second; 0 freezes the clock"},
    now={**NUMBER, "description": "a later moment, seconds since the epoch"},
)
REPLAY = _object(
    fresh={**FLAG, "default": False, "description": "sign a new message instead of sending the same bytes"}
)


def _call(
    summary: str, *, query: tuple[str, ...] = (), body: Schema | None = None, status: int = 200
) -> Schema:
    described: Schema = {
        "summary": summary,
        "parameters": [
            {"name": name, "in": "query", "schema": TEXT, "description": PARAMETERS[name]} for name in query
        ],
        "responses": {
            str(status): {"description": "done", "content": {"application/json": {"schema": ANY}}},
            "default": {
                "description": "refused",
                "content": {"application/json": {"schema": _object(error=TEXT, msg=TEXT)}},
            },
        },
    }
    if body is not None:
        described["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return described


PATHS: dict[str, Schema] = {
    "/control/state": {"get": _call("Counts, clock, merchants, faults and settings")},
    "/control/overview": {"get": _call("The panel's data")},
    "/control/openapi.json": {"get": _call("This description")},
    "/control/trades": {"get": _call("Trades, the newest first", query=("status", "limit"))},
    "/control/trades/{out_trade_no}": {
        "get": _call(
            "One order: trade, sessions, refunds, requests, notifications with their deliveries",
            query=("app_id",),
        )
    },
    "/control/trades/{out_trade_no}/scan": {
        "post": _call("The buyer scans or logs in: the trade is created", query=("app_id",), body=BUYER)
    },
    "/control/trades/{out_trade_no}/pay": {
        "post": _call("The buyer pays, and scans first if necessary", query=("app_id",), body=BUYER)
    },
    "/control/trades/{out_trade_no}/close": {
        "post": _call("Closes an unpaid trade", query=("app_id",), body=ANY)
    },
    "/control/trades/{out_trade_no}/refund": {
        "post": _call("A refund in the merchant's console", query=("app_id",), body=CONSOLE_REFUND)
    },
    "/control/requests": {
        "get": _call("Gateway requests, the newest first", query=("out_trade_no", "method", "limit"))
    },
    "/control/notifications": {
        "get": _call("Notifications, the newest first", query=("out_trade_no", "state", "limit"))
    },
    "/control/notifications/craft": {
        "post": _call("Signs and sends a crafted notification", body=CRAFT, status=201)
    },
    "/control/notifications/{notify_id}": {"get": _call("One notification with its deliveries")},
    "/control/notifications/{notify_id}/replay": {
        "post": _call("Sends a notification again, outside its schedule", body=REPLAY)
    },
    "/control/deliveries": {
        "get": _call("Delivery attempts, the newest first", query=("out_trade_no", "limit"))
    },
    "/control/clock": {
        "get": _call("The virtual clock"),
        "put": _call("Sets the clock's speed, or moves it to a later moment", body=CLOCK),
    },
    "/control/clock/advance": {"post": _call("Moves the clock forward", body=ADVANCE)},
    "/control/faults": {
        "get": _call("The fault rules in force"),
        "post": _call("Adds a fault rule", body=FAULT, status=201),
        "delete": _call("Removes every rule"),
    },
    "/control/faults/kinds": {"get": _call("All kinds of faults, with their parameters")},
    "/control/faults/{fault_id}": {"delete": _call("Removes a rule")},
    "/control/settings": {
        "patch": _call("Changes some settings", body=SETTINGS),
        "delete": _call("Restores the defaults"),
    },
    "/control/wipe": {
        "post": _call(
            "Deletes trades, logs and faults; merchants, keys and settings stay, the clock returns to "
            "real time"
        )
    },
}


@blueprint.get("/openapi.json")
def get_openapi() -> Response:
    return jsonify(describe_api())


def describe_api() -> Schema:
    paths = {
        path: {verb: _with_path_parameters(path, call) for verb, call in calls.items()}
        for path, calls in PATHS.items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Alipay simulator: control API",
            "version": "1",
            "description": (
                "Amounts are strings in yuan. Times are seconds since the epoch on the "
                "virtual clock, each with its Beijing time as text."
            ),
        },
        "paths": paths,
    }


def _with_path_parameters(path: str, call: Schema) -> Schema:
    named = [name for name in PARAMETERS if f"{{{name}}}" in path]
    inside = [
        {"name": name, "in": "path", "required": True, "schema": TEXT, "description": PARAMETERS[name]}
        for name in named
    ]
    return {**call, "parameters": inside + call["parameters"]}
