"""Counters of the shop."""

from prometheus_client import Counter

import shop.metric_files  # noqa: F401 - before any metric is made

LIMITED = Counter("shop_limited_requests_total", "Requests refused by a limit.", ["limit"])
