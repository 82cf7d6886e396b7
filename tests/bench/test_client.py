"""The load generator's process, against a small server."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from bench.client import Client, Plan, Result, build_request


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_response(304)
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def run(plan: Plan) -> Result:
    with Client(plan) as client:
        return client.run()


def test_every_request_has_its_own_answer(port: int) -> None:
    requests = [build_request("POST", "/", body=f"number {number}".encode()) for number in range(50)]
    result = run(Plan(port, requests, connections=4, keep=True))
    assert result.statuses == (202,) * 50
    assert [answer.partition(b"\r\n\r\n")[2] for answer in result.answers] == [
        f"number {number}".encode() for number in range(50)
    ]
    assert all(latency > 0 for latency in result.latencies_s)
    assert result.not_expected(202) == []


def test_answers_without_a_body_end_with_their_head(port: int) -> None:
    result = run(Plan(port, [build_request("GET", "/")] * 10, connections=2))
    assert result.statuses.count(304) == 10
    assert result.not_expected(200) == ["10 of 10 answers were 304, not 200"]


def test_a_rate_spreads_the_requests_over_time(port: int) -> None:
    result = run(Plan(port, [build_request("GET", "/")] * 20, connections=2, rate=100.0))
    assert result.sent_at[-1] - result.sent_at[0] == pytest.approx(0.19)
    assert 0.18 < result.wall_s < 1.0


def test_requests_repeat_for_a_given_time(port: int) -> None:
    result = run(Plan(port, [build_request("GET", "/")] * 2, connections=2, seconds=0.3))
    assert len(result.statuses) > 2
    assert result.statuses.count(304) == len(result.statuses)
    assert 0.2 < result.wall_s < 1.0
