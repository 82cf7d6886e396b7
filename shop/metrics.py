"""The shop's counters."""

from prometheus_client import Counter

import shop.metric_files  # noqa: F401 - before any metric is created

LIMITED = Counter("shop_limited_requests_total", "Requests refused by a limit.", ["limit"])
