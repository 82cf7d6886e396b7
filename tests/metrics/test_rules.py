"""The shipped rules and the dashboard only use names that a real scrape has, and each alert has a section in
the runbook.
"""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from project.local.state import ROOT
from tests.journeys.shopping import new_buyer
from tests.metrics.conftest import NO_PROMETHEUS, Observed
from tests.metrics.prometheus import RULES, impatient, read_rules
from tests.metrics.scraping import Scrape, scrape
from tests.metrics.test_alerts import CAUSES
from worker.alert_mail import CAUSES as MAILED

DASHBOARD = ROOT / "deploy" / "grafana" / "shop.json"
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
FUNCTIONS = {
    "sum",
    "max",
    "min",
    "count",
    "by",
    "rate",
    "increase",
    "absent",
    "vector",
    "or",
    "and",
    "histogram_quantile",
    "le",
}
# Series that Prometheus itself adds.
ITS_OWN = {"up"}
# Absent until they happen for the first time.
RARE = {"shop_limited_requests_total"}


def names_in(expression: str) -> set[str]:
    """The metrics that an expression reads."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\bby \([^)]*\)|\"[^\"]*\"", " ", expression)
    return set(re.findall(r"\b[a-z_][a-z0-9_]*\b", bare)) - FUNCTIONS - ITS_OWN


def matchers_in(expression: str) -> list[tuple[str, str, str]]:
    """(metric, label, value) for every exact label matcher."""
    return [
        (metric, label, value)
        for metric, inside in re.findall(r"\b([a-z_][a-z0-9_]*)\{([^}]*)\}", expression)
        for label, value in re.findall(r'(\w+)="([^"]*)"', inside)
    ]


def expressions() -> list[str]:
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    drawn = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    return [rule["expr"] for rule in read_rules()] + drawn


@pytest.fixture(scope="module")
def busy(observed: Observed) -> Scrape:
    """A scrape of a shop in which something was bought."""
    buyer = new_buyer(observed.stack)
    buyer.buy_paid()
    # The web process itself requests a QR code from the gateway.
    buyer.api.post(f"orders/{buyer.buy()}/payments/", {"product": "qr"})
    return scrape(observed.stack.web_url)


@pytest.mark.journey
@pytest.mark.xdist_group("metrics")
def test_every_metric_that_is_read_exists(busy: Scrape) -> None:
    read = {name for expression in expressions() for name in names_in(expression)}
    assert len(read) > 20
    assert read - busy.names == RARE
    assert {f"{family.name}_total" for family in REGISTRY.collect()} >= RARE


@pytest.mark.journey
@pytest.mark.xdist_group("metrics")
def test_every_label_that_is_asked_for_exists(busy: Scrape) -> None:
    asked = {
        (metric, label)
        for expression in expressions()
        for metric, label, _ in matchers_in(expression)
        if metric not in ITS_OWN
    }
    assert asked
    assert {(metric, label) for metric, label in asked if not busy.labels_of(metric, label)} == set()


def test_the_check_of_names_finds_a_wrong_one() -> None:
    assert names_in(
        'sum by (task) (rate(task_secs_count{outcome="failure"}[5m])) > 2 or absent(up{job="web"})'
    ) == {"task_secs_count"}


@pytest.mark.parametrize("rule", read_rules(), ids=lambda rule: rule["alert"])
def test_every_alert_links_to_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "runbook"}
    document, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert document == "docs/runbook.md"
    section = section_of(rule["alert"])
    assert anchor == rule["alert"].lower()
    for part in ("**Means**", "**Look**", "**Do**"):
        assert part in section
    assert not re.search(r"\b(SELECT|UPDATE|DELETE|INSERT|psql)\b", section)


def test_every_alert_has_a_cause() -> None:
    assert sorted(CAUSES) == sorted(rule["alert"] for rule in read_rules())


def test_the_runbook_has_no_section_of_nothing() -> None:
    assert re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE) == [rule["alert"] for rule in read_rules()]


def test_the_runbook_names_what_the_desk_calls_so() -> None:
    words = set(re.findall(r"[\u4e00-\u9fff（）]+", RUNBOOK))
    desk = "".join(
        path.read_text() for app in ("shop", "payments", "project") for path in (ROOT / app).rglob("*.py")
    )
    assert len(words) > 10
    assert {word for word in words if word not in desk} == set()


def test_what_is_mailed_is_an_alert_that_cannot_wait() -> None:
    critical = {rule["alert"] for rule in read_rules() if rule["labels"]["severity"] == "critical"}
    assert {cause.name for cause in MAILED} <= critical


def section_of(alert: str) -> str:
    found = re.search(rf"^### {alert}$(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_impatient_rules_differ_in_times_only() -> None:
    shipped, hurried = yaml.safe_load(RULES.read_text()), yaml.safe_load(impatient(RULES.read_text()))
    for group, hasty in zip(shipped["groups"], hurried["groups"], strict=True):
        for rule, quick in zip(group["rules"], hasty["rules"], strict=True):
            assert {**rule, "for": None, "expr": None} == {**quick, "for": None, "expr": None}
            assert re.sub(r"\[\w+\]", "", rule["expr"]) == re.sub(r"\[\w+\]", "", quick["expr"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason=NO_PROMETHEUS)
@pytest.mark.parametrize(
    "arguments", [["check", "rules", "shop_rules.yml"], ["test", "rules", "shop_rules_test.yml"]]
)
def test_promtool_agrees(arguments: list[str]) -> None:
    ended = subprocess.run(
        ["promtool", *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_dashboard_can_be_read() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    taken = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))  # no panels overlap
    assert all(x < 24 for x, _ in taken)
