"""deploy/Caddyfile and deploy/nginx.conf as shipped: what they forward, what they block, and how they
withstand slow clients.
"""

import gzip
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from project.local.child import Child
from project.local.ports import find_free_port, is_listening
from project.local.state import ROOT
from project.local.waiting import wait_until
from tests.nodes.shop_stack import ShopStack
from tests.walls.attacks import ATTACKS, Crowd
from tests.walls.latency import honest
from tests.walls.proxies import NAMES, Proxy, client_context, run_proxy

pytestmark = [pytest.mark.xdist_group("contract"), pytest.mark.timeout(240)]

SLOWEST_MS = 2000
CONNECTIONS = 300
SPOOFED = {
    "X-Forwarded-For": "203.0.113.9",
    "X_Forwarded_For": "203.0.113.9",
    "X-Forwarded-Proto": "http",
    "X_Forwarded_Proto": "http",
    "X-Request-ID": "from-the-client",
    "X_Request_ID": "from-the-client",
    "Forwarded": "for=203.0.113.9",
}


@pytest.fixture(params=NAMES)
def proxy(request: pytest.FixtureRequest, shared_shop_stack: ShopStack, tmp_path: Path) -> Iterator[Proxy]:
    with run_proxy(
        request.param, upstream=urlsplit(shared_shop_stack.web_url).netloc, folder=tmp_path
    ) as found:
        yield found


@pytest.fixture(params=NAMES)
def before_echo(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy in front of a server that echoes its request."""
    port = find_free_port()
    echo = Child(
        name="echo",
        argv=[sys.executable, str(Path(__file__).with_name("echo.py")), str(port)],
        cwd=tmp_path,
        log_path=tmp_path / "echo.log",
    )
    echo.start()
    try:
        assert wait_until(lambda: is_listening(port), timeout_s=20)
        with run_proxy(request.param, upstream=f"127.0.0.1:{port}", folder=tmp_path / "proxy") as found:
            yield found
    finally:
        echo.kill()


def test_what_the_shop_believes_comes_from_the_proxy(before_echo: Proxy) -> None:
    with client(before_echo) as http:
        fields = [tuple(field) for field in http.get("/healthz", headers=SPOOFED).json()["fields"]]
    names = [name.replace("_", "-") for name, _ in fields]
    values = dict(fields)
    assert {name: names.count(name) for name in ("x-forwarded-for", "x-forwarded-proto", "x-request-id")} == {
        "x-forwarded-for": 1,
        "x-forwarded-proto": 1,
        "x-request-id": 1,
    }
    assert (values["x-forwarded-for"], values["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert values["x-request-id"] != "from-the-client"
    assert "forwarded" not in names


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/metrics/", "/%6detrics", "/x/../readyz"])
def test_what_is_for_inside_stays_inside(proxy: Proxy, path: str) -> None:
    with client(proxy) as http:
        assert http.get(httpx.URL(proxy.url).copy_with(raw_path=path.encode())).status_code == 404


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/%61dmin/login/"])
def test_the_admin_is_for_staffs_network(
    name: str, path: str, shared_shop_stack: ShopStack, tmp_path: Path
) -> None:
    upstream = urlsplit(shared_shop_stack.web_url).netloc
    for staff, expected in (("192.0.2.0/24", {404}), ("127.0.0.0/8", {200, 302})):
        with (
            run_proxy(name, upstream=upstream, folder=tmp_path / staff[:3], staff=staff) as found,
            client(found) as http,
        ):
            assert http.get(path).status_code in expected


def test_the_apis_tags_are_left_intact(proxy: Proxy, shared_shop_stack: ShopStack) -> None:
    password = shared_shop_stack.env["DEMO_PASSWORD"]
    with honest(proxy.url, username="buyer1", password=password, verify=False) as buyer:
        ask = buyer.kinds()["poll"]
        assert wait_until(lambda: ask().json()["data"]["status"] != "pending", timeout_s=30)
        first = ask()
        tag = first.headers["ETag"]
        assert tag.startswith('"')
        assert "Content-Encoding" not in first.headers
        assert buyer.ask_order(tag).status_code == 304


def test_pages_are_compressed_and_their_tags_still_work(proxy: Proxy) -> None:
    path = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui.css"
    with client(proxy) as http:
        with http.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as first:
            assert first.headers["Content-Encoding"] == "gzip"
            assert b".swagger-ui" in gzip.decompress(b"".join(first.iter_raw()))
        known = {
            name: first.headers[field]
            for name, field in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
            if field in first.headers
        }
        assert known
        assert http.get(path, headers=known).status_code == 304


def test_a_body_that_is_too_large_is_refused(proxy: Proxy) -> None:
    with client(proxy) as http:
        assert (
            http.post(
                "/api/v1/auth/login/", content=b"x" * 70_000, headers={"Content-Type": "application/json"}
            ).status_code
            == 413
        )


def test_http3_is_not_advertised(proxy: Proxy) -> None:
    """The connections of an address are bounded over TCP only."""
    with client(proxy) as http:
        assert "Alt-Svc" not in http.get("/healthz").headers


def test_connections_are_counted_before_docker_forwards_them() -> None:
    """Docker translates addresses at priority -100 (`dstnat`); after that, packets bypass the `input`
    hook.
    """
    rules = (ROOT / "deploy" / "nftables.conf").read_text()
    assert re.findall(r"hook (\w+) priority (\w+);", rules) == [("prerouting", "mangle")]


def test_one_address_has_a_rate_at_nginx(shared_shop_stack: ShopStack, tmp_path: Path) -> None:
    """Caddy has none; there, deploy/nftables.conf and the shop's own limits bound an address."""
    with (
        run_proxy("nginx", upstream=urlsplit(shared_shop_stack.web_url).netloc, folder=tmp_path) as found,
        client(found) as http,
    ):
        answers = [http.get("/api/v1/auth/login/") for _ in range(80)]
        assert {answer.status_code for answer in answers[:50]} == {405}
        refused = answers[-1]
        assert (refused.status_code, refused.json()["error"], refused.headers["Retry-After"]) == (
            429,
            "too_many_requests",
            "2",
        )


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind, marks=[] if kind in {"no body", "body dripped", "no bytes at all"} else pytest.mark.slow
        )
        for kind in ATTACKS
        if kind != "HTTP/2 without data"  # cleartext HTTP/2, which proxies don't speak
    ],
)
def test_honest_requests_are_answered_meanwhile(
    kind: str, proxy: Proxy, shared_shop_stack: ShopStack
) -> None:
    """The attacker's address differs from the buyer's, as on the Internet: nginx limits connections by
    address.
    """
    context = client_context()

    def wrap(connection: socket.socket) -> ssl.SSLSocket:
        return context.wrap_socket(connection, server_hostname="localhost")

    password = shared_shop_stack.env["DEMO_PASSWORD"]
    with honest(proxy.url, username="buyer1", password=password, verify=False) as buyer:
        crowd = Crowd(("127.0.0.1", proxy.port), ATTACKS[kind], CONNECTIONS, wrap=wrap, source="127.0.0.2")
        with crowd:
            assert wait_until(lambda: crowd.opened >= 90, timeout_s=30)
            found = buyer.measure(rounds=10)
    assert sum(latencies.failed for latencies in found) == 0
    assert [latencies.name for latencies in found if latencies.at(0.9) > SLOWEST_MS] == []


def client(proxy: Proxy) -> httpx.Client:
    return httpx.Client(base_url=proxy.url, verify=False, trust_env=False, timeout=30)
