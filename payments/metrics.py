"""Metrics of the traffic between the shop and its gateway."""

from prometheus_client import Counter, Gauge, Histogram

import shop.metric_files  # noqa: F401 - before any metric is made

NOTIFICATIONS = Counter(
    "alipay_notifications_total", "Notifications by what became of them at the door.", ["outcome"]
)
# Buckets up to the longest that a call may take (ALIPAY_TIMEOUT_S).
GATEWAY_CALLS = Histogram(
    "gateway_call_seconds",
    "Calls to the payment gateway by method and outcome.",
    ["method", "outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7),
)
GATEWAY_BREAKER_OPEN = Gauge(
    "gateway_breaker_open",
    "Processes that have stopped calling the gateway because it is silent.",
    multiprocess_mode="livesum",
)
GATEWAY_LIMITED = Counter("gateway_limited_total", "Calls that the payment gateway rejected as too many.")
