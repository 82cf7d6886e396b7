"""Counters of this process."""

from prometheus_client import Counter

NOTIFICATIONS = Counter("alipay_notifications_total", "Notifications by what became of them at the door.", ["outcome"])
