"""The metrics endpoint of workers and beat."""

import os
import socket

import httpx
import pytest
from pytest_django import Settings

from project.local.ports import find_free_port
from worker.metrics_server import serve_metrics


def test_it_answers_at_the_configured_address(settings: Settings) -> None:
    port = find_free_port()
    settings.METRICS_LISTEN = f"127.0.0.1:{port}"
    server = serve_metrics()
    assert server is not None
    try:
        assert "tasks_lost_total" in httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_lets_go_of_the_port(settings: Settings) -> None:
    """Otherwise a restarted worker couldn't use it while a child of the old one still lives."""
    settings.METRICS_LISTEN = f"127.0.0.1:{find_free_port()}"
    server = serve_metrics()
    assert server is not None
    descriptor = server.socket.fileno()
    child = os.fork()
    if child == 0:
        try:
            os.fstat(descriptor)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    server.shutdown()
    server.server_close()


def test_without_an_address_there_is_no_server(settings: Settings) -> None:
    settings.METRICS_LISTEN = ""
    assert serve_metrics() is None


def test_a_port_that_is_taken_stops_no_worker(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings.METRICS_LISTEN = f"127.0.0.1:{taken.getsockname()[1]}"
        assert serve_metrics() is None
