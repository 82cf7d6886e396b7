"""Counters of this process."""

from prometheus_client import Counter

LIMITED = Counter("shop_limited_requests_total", "Requests refused by a limit.", ["limit"])
