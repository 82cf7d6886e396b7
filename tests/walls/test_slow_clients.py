"""Slow clients against the shipped web server, without a proxy: honest requests stay fast."""

import re
import socket
import time
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from django.conf import settings

from project.local.programs import SERVER_OPTIONS
from project.local.waiting import wait_until
from project.web.places import LIMIT
from tests.nodes.shop_stack import ShopStack
from tests.walls.attacks import ATTACKS, HANDSHAKES, Attack, Crowd, head
from tests.walls.conftest import SILENCE_S, Web
from tests.walls.latency import Honest

pytestmark = [pytest.mark.xdist_group("contract"), pytest.mark.timeout(240)]

CONNECTIONS = 500
# Generous for a busy machine; what is tested is that there is an answer at all.
SLOWEST_MS = 2000


@pytest.mark.parametrize("kind", ATTACKS)
def test_honest_requests_are_answered_meanwhile(
    kind: str, shared_shop_stack: ShopStack, buyer: Honest
) -> None:
    with Crowd(address_of(shared_shop_stack), ATTACKS[kind], CONNECTIONS) as crowd:
        assert wait_until(lambda: crowd.opened >= CONNECTIONS, timeout_s=20)
        found = buyer.measure(rounds=15)
    assert {latencies.name: latencies.failed for latencies in found} == {
        "/healthz": 0,
        "courses/": 0,
        "poll": 0,
        "order": 0,
    }
    assert [latencies.name for latencies in found if latencies.at(0.9) > SLOWEST_MS] == []


def test_a_crowd_leaves_room_for_others_only(shared_shop_stack: ShopStack, buyer: Honest) -> None:
    """Alone it may use everything. As soon as a buyer comes, requests beyond its share are refused, and the
    buyer's aren't.
    """
    address = address_of(shared_shop_stack)
    with Crowd(address, ATTACKS["pipelined"], CONNECTIONS, source="127.0.0.2") as crowd:
        assert wait_until(lambda: crowd.opened >= CONNECTIONS, timeout_s=20)
        assert refused_of_addresses(shared_shop_stack) == 0
        found = buyer.measure(rounds=15)
        refused = refused_of_addresses(shared_shop_stack)
    assert sum(latencies.failed for latencies in found) == 0
    assert refused > CONNECTIONS // 2


def test_endless_handshakes(shared_shop_stack: ShopStack, buyer: Honest) -> None:
    with Crowd(address_of(shared_shop_stack), HANDSHAKES, 50):
        found = buyer.measure(rounds=15)
    assert sum(latencies.failed for latencies in found) == 0


def test_many_silent_connections(shared_shop_stack: ShopStack, buyer: Honest) -> None:
    with Crowd(address_of(shared_shop_stack), Attack(), 1200) as crowd:
        assert wait_until(lambda: crowd.opened >= 1200, timeout_s=30)
        assert sum(latencies.failed for latencies in buyer.measure(rounds=10)) == 0
        assert wait_until(lambda: crowd.ended_by_server >= 1200, timeout_s=25)  # after ten seconds


@pytest.mark.parametrize("kind", ["no body", "body dripped", "answers unread"])
def test_a_stalled_connection_is_ended(kind: str, impatient_web: Web) -> None:
    with Crowd(("127.0.0.1", impatient_web.port), ATTACKS[kind], 1) as crowd:
        started = time.monotonic()
        if kind == "answers unread":
            web = psutil.Process(impatient_web.pid)
            assert wait_until(
                lambda: bool(crowd.ports) and not crowd.ports & accepted_from(web), timeout_s=60
            )
        else:
            assert wait_until(lambda: crowd.ended_by_server >= 1, timeout_s=60)
        # It is checked every few seconds.
        assert SILENCE_S - 0.5 < time.monotonic() - started < SILENCE_S + 10


def test_shipped_deadlines() -> None:
    assert settings.CONNECTION_LIMITS == {"silence_s": 30, "readers": 256, "stuck_s": 120}
    assert settings.ADDRESS_SHARES == {
        "seconds": 0.25,
        "burst_s": 0.25,
        "waiting": 128,
        "waiting_in_all": 192,
        "patience_s": 10,
    }
    assert SERVER_OPTIONS[SERVER_OPTIONS.index("--http1-header-read-timeout") + 1] == "10000"


def test_http2_is_refused(shared_shop_stack: ShopStack) -> None:
    with socket.create_connection(address_of(shared_shop_stack), timeout=10) as connection:
        connection.sendall(ATTACKS["HTTP/2 without data"].opening)
        answer = connection.recv(65536)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


def test_chunks_are_refused_at_once(shared_shop_stack: ShopStack) -> None:
    answer = ask(shared_shop_stack, ATTACKS["chunks without end"].opening)
    assert answer.startswith(b"HTTP/1.1 411")
    assert b'"error":"length_required"' in answer


def test_a_body_that_is_too_large_is_refused_at_once(shared_shop_stack: ShopStack) -> None:
    answer = ask(
        shared_shop_stack,
        head(b"/api/v1/auth/login/", b"POST", b"Content-Type: application/json", b"Content-Length: 70000")
        + b"\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_body_in_pieces_is_read_whole(shared_shop_stack: ShopStack) -> None:
    body = b'{"username": "nobody", "password": "nothing"}'
    with socket.create_connection(address_of(shared_shop_stack), timeout=10) as connection:
        connection.sendall(
            head(
                b"/api/v1/auth/login/",
                b"POST",
                b"Content-Type: application/json",
                b"Content-Length: %d" % len(body),
            )
            + b"\r\n"
        )
        for start in range(0, len(body), 9):
            time.sleep(0.1)
            connection.sendall(body[start : start + 9])
        assert b"login_failed" in connection.recv(65536)


def refused_of_addresses(stack: ShopStack) -> float:
    """How many requests were refused because their client had used its share.

    The stack has one web process, so its metrics are complete.
    """
    metrics = httpx.get(f"{stack.web_url}/metrics", trust_env=False, timeout=20).text
    found = re.search(rf'^shop_limited_requests_total{{limit="{LIMIT}"}} (\S+)', metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0


def address_of(stack: ShopStack) -> tuple[str, int]:
    found = urlsplit(stack.web_url)
    return str(found.hostname), int(found.port or 0)


def accepted_from(web: psutil.Process) -> set[int]:
    """The client ports of all open connections that the web processes have accepted."""
    processes = [web, *web.children(recursive=True)]
    found = [connection for process in processes for connection in process.net_connections("tcp")]
    return {connection.raddr.port for connection in found if connection.raddr}


def ask(stack: ShopStack, request: bytes) -> bytes:
    with socket.create_connection(address_of(stack), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(65536)
