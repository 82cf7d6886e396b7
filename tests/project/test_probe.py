"""The health check that ends an unresponsive web process."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from project import probe
from project.local.ports import find_free_port


@pytest.fixture
def main_process() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@pytest.fixture
def server() -> Iterator[int]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 503)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as found:
        Thread(target=found.serve_forever, daemon=True).start()
        yield found.server_port
        found.shutdown()


def test_what_stops_answering_is_ended(
    server: int, main_process: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    count, silent = tmp_path / "count", find_free_port()

    def run(port: int) -> int:
        return probe.main(
            [f"{port}/readyz", "--end-unless", f"{port}/healthz"], count=count, main_process=main_process.pid
        )

    assert [run(server), run(silent), run(silent)] == [1, 1, 1]
    assert main_process.poll() is None
    run(server)  # an answer resets the count
    assert [run(silent), run(silent), main_process.poll()] == [1, 1, None]
    run(silent)
    assert main_process.wait(10) == -15


def test_a_database_that_is_away_ends_nothing(
    server: int, main_process: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    for _ in range(5):
        assert (
            probe.main(
                [f"{server}/readyz", "--end-unless", f"{server}/healthz"],
                count=tmp_path / "count",
                main_process=main_process.pid,
            )
            == 1
        )
    assert main_process.poll() is None


def test_a_slow_start_is_no_silence(main_process: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    silent = find_free_port()
    for _ in range(5):
        probe.main(
            [f"{silent}/readyz", "--end-unless", f"{silent}/healthz"],
            count=tmp_path / "count",
            main_process=main_process.pid,
        )
    assert main_process.poll() is None
