"""The parameters of faults. A value with which a fault could do nothing is refused when the rule is set."""

from collections.abc import Callable, Mapping
from typing import Any

from payments.simulator.fault_kinds import FaultKind
from payments.simulator.money import parse_difference

# Longer waits and more copies would break the simulator instead of the shop.
MOST_SECONDS = 366 * 86_400
MOST_COPIES = 50
MOST_PER_SECOND = 100_000
# The fields that a notification may sign, except the last in alphabetical order: no field follows it that
# could be merged into it.
MERGEABLE = frozenset(
    {
        "app_id", "auth_app_id", "body", "buyer_id", "buyer_logon_id", "buyer_pay_amount", "charset",
        "fund_bill_list", "gmt_close", "gmt_create", "gmt_payment", "gmt_refund", "invoice_amount",
        "notify_id", "notify_time", "notify_type", "out_biz_no", "out_trade_no", "passback_params",
        "point_amount", "receipt_amount", "refund_fee", "seller_email", "seller_id", "send_back_fee",
        "subject", "total_amount", "trade_no", "trade_status",
    }
)  # fmt: skip


def read_params(kind: FaultKind, given: Any) -> dict[str, Any]:
    """The kind's default parameters, overridden by the given ones.

    Raises ValueError for an unknown parameter, or a value that the fault can't act with.
    """
    if not isinstance(given, dict) or not set(given) <= set(kind.params):
        raise ValueError(f"{kind.name} takes the parameters {kind.params}")
    params = {**kind.params, **given}
    for name, value in params.items():
        is_right, wanted = _CHECKS[name]
        if not is_right(value):
            raise ValueError(f"{kind.name}: {name} is {wanted}")
    if "fields" in params:
        _check_fields(kind.name, params["fields"])
    return params


def _check_fields(kind: str, fields: Mapping[str, Any]) -> None:
    if kind != "tamper" and not {"sign", "sign_type"}.isdisjoint(fields):
        raise ValueError(
            f"{kind}: sign and sign_type are written when it is signed; tamper changes them after"
        )
    if kind == "extra_fields" and "" in fields.values():
        raise ValueError(f"{kind}: empty fields are never sent")


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_fields(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(one, str) or _is_number(one) for one in value.values())
    )


# For each parameter the check of its value, and the value in words.
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "status": (
        lambda value: type(value) is int and 500 <= value <= 599,
        "a whole number from 500 to 599",
    ),
    "count": (
        lambda value: type(value) is int and 1 <= value <= MOST_COPIES,
        f"a whole number from 1 to {MOST_COPIES}",
    ),
    "seconds": (
        lambda value: _is_number(value) and 0 < value <= MOST_SECONDS,
        f"a number above 0, up to {MOST_SECONDS}",
    ),
    "per_second": (
        lambda value: _is_number(value) and 0 <= value <= MOST_PER_SECOND,
        f"a number from 0, which means every call, to {MOST_PER_SECOND}",
    ),
    "after_commit": (_is_flag, "true or false"),
    "beyond_expiry": (_is_flag, "true or false"),
    "fields": (_are_fields, "an object of at least one field with a text or a number"),
    "into": (
        lambda value: value in MERGEABLE,
        "a field of notifications that isn't the last one in alphabetical order",
    ),
    "difference": (
        lambda value: isinstance(value, str) and bool(parse_difference(value)),
        "yuan other than 0, such as 0.01 or -0.01",
    ),
}
