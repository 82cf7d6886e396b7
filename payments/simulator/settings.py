"""Settings for behaviour that Alipay's documents leave open or describe inconsistently. They can be changed
while the simulator runs.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from payments.simulator.store import Store

STATUSES = ("WAIT_BUYER_PAY", "TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED")
PRODUCTS = ("page", "wap", "app", "qr")


def _documented_triggers() -> dict[str, list[str]]:
    return {
        "page": ["TRADE_SUCCESS"],
        "wap": ["TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED"],
        "app": ["TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED"],
        "qr": ["TRADE_SUCCESS"],
    }


def _documented_retries() -> list[float]:
    return [240, 600, 600, 3600, 7200, 21_600, 54_000]


@dataclass(frozen=True)
class Settings:
    """Seconds are virtual unless the name says real."""

    notify_triggers: dict[str, list[str]] = field(default_factory=_documented_triggers)
    retry_intervals_s: list[float] = field(default_factory=_documented_retries)
    # The time limit for a shop's answer to a notification isn't documented.
    delivery_timeout_real_s: float = 5.0
    # "any": the notification and the browser's return race. "notification_first": the pay button waits for
    # the first delivery. "return_first": the first delivery waits two real seconds.
    return_order: str = "any"
    escape_slashes: bool = True
    wap_product_codes: list[str] = field(default_factory=lambda: ["QUICK_WAP_WAY", "QUICK_WAP_PAY"])
    max_total_amount: str = "100000000.00"
    max_body_length: int = 128
    refund_window_s: float = 365 * 86_400
    # The documents require three seconds between refunds of one trade, but name no error code. 0 doesn't
    # enforce it.
    refund_interval_s: float = 0.0
    refund_too_soon_code: str = "ACQ.SYSTEM_ERROR"
    cancel_window_s: float = 86_400
    close_closed_code: str = "ACQ.TRADE_STATUS_ERROR"
    # Both occur in notifications of refunds that were sent without out_request_no: "out_trade_no" or
    # "trade_no".
    default_out_biz_no: str = "out_trade_no"
    # The tolerance for a request's timestamp; 0 checks only its format.
    timestamp_tolerance_s: float = 0.0
    # "next_day": bills are ready at 09:00 the next day. "always": also before, with what they have so far.
    bill_ready: str = "next_day"
    bill_link_real_s: float = 30.0
    # For a day without trades, "error" answers NO_BILL_DATA and "file" gives an empty bill.
    empty_bill: str = "error"
    service_fee_per_mille: int = 6
    request_log_size: int = 20_000
    # With a fault's kind, it decides which matching events a fault with a probability hits.
    seed: str = "1"


CHOICES = {
    "return_order": ("any", "notification_first", "return_first"),
    "default_out_biz_no": ("out_trade_no", "trade_no"),
    "bill_ready": ("next_day", "always"),
    "empty_bill": ("error", "file"),
}


class SettingsBook:
    """The current settings, stored so that they survive a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        saved = store.read_setting("settings") or {}
        known = {item.name for item in fields(Settings)}
        self.current = Settings(**{name: value for name, value in saved.items() if name in known})

    def change(self, changes: Mapping[str, Any]) -> Settings:
        """Applies some settings.

        Raises ValueError for an unknown name or a value of the wrong type; then nothing changes.
        """
        defaults = asdict(Settings())
        for name, value in changes.items():
            if name not in defaults:
                raise ValueError(f"no setting is called {name!r}")
            _check_value(name, value, defaults[name])
        self.current = replace(self.current, **changes)
        self._store.write_setting("settings", asdict(self.current))
        return self.current

    def reset(self) -> Settings:
        self.current = Settings()
        self._store.write_setting("settings", {})
        return self.current


def _check_value(name: str, value: Any, default: Any) -> None:
    if name == "notify_triggers":
        is_right = isinstance(value, dict) and all(
            product in PRODUCTS and isinstance(events, list) and set(events) <= set(STATUSES)
            for product, events in value.items()
        )
    elif name == "retry_intervals_s":
        is_right = isinstance(value, list) and all(_is_number(item) and item >= 0 for item in value)
    elif _is_number(default):
        is_right = _is_number(value) and value >= 0 and (type(default) is float or type(value) is int)
    else:
        is_right = type(value) is type(default) and value in CHOICES.get(name, (value,))
    if not is_right:
        raise ValueError(f"{value!r} is not a value for {name}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
