"""`/metrics` as Prometheus reads it."""

from collections.abc import Mapping
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

Series = tuple[str, frozenset[tuple[str, str]]]


class Scrape(dict[Series, float]):
    """Every series with its value. `counters` are those that must never decrease."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.counters: dict[Series, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                series = (sample.name, frozenset(sample.labels.items()))
                assert series not in self, f"{series} twice"
                self[series] = sample.value
                if family.type in {"counter", "histogram"}:
                    self.counters[series] = sample.value

    def total(self, name: str, /, **labels: str) -> float:
        """The sum of the series with at least these labels."""
        return sum(
            value
            for (found, pairs), value in self.items()
            if found == name and labels.items() <= dict(pairs).items()
        )

    def labels_of(self, name: str, label: str) -> set[str]:
        return {dict(pairs)[label] for found, pairs in self if found == name and label in dict(pairs)}

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self}


def scrape(url: str) -> Scrape:
    """On a new connection, so that any of the processes may answer."""
    answer = httpx.get(f"{url}/metrics", trust_env=False, timeout=20)
    assert answer.status_code == 200, answer.text
    return Scrape(answer.text)


def steps_back(before: Scrape, after: Scrape) -> Mapping[Series, Any]:
    """Counters that decreased or disappeared."""
    return {
        series: (value, after.get(series))
        for series, value in before.counters.items()
        if after.get(series, -1) < value
    }
