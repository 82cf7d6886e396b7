"""Counters of this process."""

from prometheus_client import Counter, Gauge

NOTIFICATIONS = Counter("alipay_notifications_total", "Notifications by what became of them at the door.", ["outcome"])
GATEWAY_CALLS = Counter("gateway_calls_total", "Calls to the payment gateway by what came back: answered, broken, silent.", ["outcome"])
GATEWAY_BREAKER_OPEN = Gauge("gateway_breaker_open", "Whether this process has stopped calling the gateway because it is silent.")
GATEWAY_LIMITED = Counter("gateway_limited_total", "Calls that the payment gateway turned away because there were too many.")
