"""Flower requires its login and shows the results of tasks. With real processes."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from flower.views.monitor import Metrics
from flower.views.tasks import TasksView

from project.local.child import Child
from project.local.ports import find_free_port
from project.local.programs import program
from project.local.state import ROOT
from project.local.waiting import wait_until
from tests.nodes.shop_nodes import ValkeyNode, make_broker
from worker.flower_login import COLUMNS

pytestmark = [pytest.mark.xdist_group("nodes"), pytest.mark.timeout(180)]

LOGIN = ("operator", "a-password-of-flower")
START_S = 60
CLOSED = [
    "/", "/workers", "/worker/x", "/tasks", "/tasks/datatable", "/task/x", "/broker", "/metrics",
    "/api/workers", "/api/tasks",
    "/api/task/types", "/api/queues/length", "/api/task/info/x",
]  # fmt: skip


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[ValkeyNode]:
    node = make_broker(tmp_path / "broker", password="flower")
    node.start()
    yield node
    node.teardown()


def flower(folder: Path, broker: ValkeyNode, port: int, **env: str) -> Child:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FLOWER_")}
    all_env = {**inherited, "CELERY_BROKER_URL": broker.config()["url"], "LOG_LEVEL": "INFO", **env}
    argv = program("celery", "-A", "worker", "flower", "--address=127.0.0.1", f"--port={port}")
    child = Child("flower", argv, folder / "out", cwd=ROOT, env=all_env)
    child.start()
    return child


@pytest.fixture
def address(broker: ValkeyNode, tmp_path: Path) -> Iterator[str]:
    port = find_free_port()
    child = flower(
        tmp_path, broker, port, FLOWER_BASIC_AUTH=":".join(LOGIN), FLOWER_UNAUTHENTICATED_API="true"
    )
    assert wait_until(lambda: is_open(f"http://127.0.0.1:{port}/healthcheck"), timeout_s=START_S), (
        child.log_text()
    )
    yield f"http://127.0.0.1:{port}"
    child.kill()


def is_open(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def test_everything_but_the_health_check_asks_for_the_login(address: str) -> None:
    with httpx.Client(base_url=address, trust_env=False) as client:
        assert {path: client.get(path).status_code for path in CLOSED} == dict.fromkeys(CLOSED, 401)
        wrong = {path: client.get(path, auth=(LOGIN[0], "wrong")).status_code for path in CLOSED}
        assert wrong == dict.fromkeys(CLOSED, 401)
        assert client.post("/api/task/async-apply/worker.sweep", json={}).status_code == 401
        assert (client.get("/healthcheck").status_code, client.get("/healthcheck").text) == (200, "OK")


def test_login_shows_the_results_of_tasks(address: str) -> None:
    with httpx.Client(base_url=address, trust_env=False, auth=LOGIN) as client:
        assert client.get("/metrics").status_code == 200
        assert client.get("/api/tasks").status_code == 200
        page = client.get("/tasks").text
    shown = [page.index(f">{label}<") for label in ("Name", "State", "Result", "Received")]
    assert shown == sorted(shown)
    assert COLUMNS.startswith("name,state,result")


def test_flowers_own_metrics_ask_for_nothing() -> None:
    """The control: Flower protects its pages with the `authenticated` decorator, except this one."""
    assert hasattr(TasksView.get, "__wrapped__")
    assert not hasattr(Metrics.get, "__wrapped__")


@pytest.mark.parametrize("login", [None, "", "operator", "operator:", ":secret", "operator:secret,"])
def test_flower_without_a_whole_login_does_not_start(
    broker: ValkeyNode, tmp_path: Path, login: str | None
) -> None:
    child = flower(
        tmp_path, broker, find_free_port(), **({} if login is None else {"FLOWER_BASIC_AUTH": login})
    )
    assert child.wait(START_S)
    assert "FLOWER_BASIC_AUTH" in child.log_text()
    assert "Visit me" not in child.log_text()
