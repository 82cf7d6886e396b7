"""Carts and queues on real servers of every supported kind; unsupported servers stop the start and are
named.
"""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pytest_django import Settings

from project.local.ports import find_free_port
from project.local.sentinel import SentinelServer, replica_settings
from project.local.state import ROOT
from project.local.tls import make_certificate
from project.local.valkey import ValkeyServer
from project.local.waiting import wait_until
from shop import redis_address
from tests.forwarder import Forwarder
from worker.servers import find_unfit_servers

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("servers")]

# Writes and reads a cart and sends a message through the queues with the shop's own code.
USE_BOTH = """
import django
django.setup()
from shop import valkey
from worker.celery import app
from worker.servers import refuse_unfit_servers
refuse_unfit_servers()
valkey.client().set("cart:1", "书")
with app.connection_for_write() as writer, writer.SimpleQueue("tests") as queue:
    queue.put({"a": 1})
app.conf.broker_transport_options |= app.conf.consumer_transport_options
with app.connection_for_read() as reader, reader.SimpleQueue("tests") as queue:
    message = queue.get(timeout=10)
    message.ack()
print(valkey.client().get("cart:1"), message.payload["a"])
"""


def run(program: list[str], **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def use_both(store: str, broker: str) -> str:
    """The program's output, or the last line of its error."""
    ended = run(["-c", USE_BOTH], REDIS_URL=store, CELERY_BROKER_URL=broker)
    return ended.stdout.strip() if ended.returncode == 0 else ended.stderr.strip().splitlines()[-1]


Starter = Callable[..., ValkeyServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Starter]:
    """Starts a server with additional lines of configuration."""
    with ExitStack() as stack:

        def start_one(*settings: str, password: str = "") -> ValkeyServer:
            server = ValkeyServer(
                tmp_path / secrets.token_hex(4),
                password or secrets.token_hex(8),
                durable=False,
                settings=settings,
            )
            stack.callback(server.stop)
            server.start()
            return server

        yield start_one


def test_socket_files(start: Starter, tmp_path: Path) -> None:
    path = tmp_path / "valkey.sock"
    server = start(f"unixsocket {path}")
    url = f"unix://:{server.password}@{path}"
    assert use_both(f"{url}?db=1", f"{url}?db=0") == "书 1"


def test_tls_with_an_authority_of_our_own(start: Starter, tmp_path: Path) -> None:
    server, made = start(), make_certificate(tmp_path)
    plain, with_authority = server.url().rsplit("/", 1)[0], f"ssl_ca_certs={made.authority}"
    with Forwarder(server.port, certificate=made) as front:
        url = f"rediss://:{server.password}@127.0.0.1:{front.port}"
        assert use_both(f"{url}/1?{with_authority}", f"{url}/0?{with_authority}") == "书 1"
        # An unknown authority: neither carts nor queues work.
        assert "certificate verify failed" in use_both(f"{url}/1", f"{plain}/0")
        assert "certificate verify failed" in use_both(f"{plain}/1", f"{url}/0")


def test_tls_with_a_certificate_of_another_server(start: Starter, tmp_path: Path) -> None:
    server, made = start(), make_certificate(tmp_path, address="192.0.2.1")
    plain = server.url().rsplit("/", 1)[0]
    with Forwarder(server.port, certificate=made) as front:
        url = f"rediss://:{server.password}@127.0.0.1:{front.port}"
        for store, broker in ((url, plain), (plain, url)):
            query = f"?ssl_ca_certs={made.authority}"
            told = use_both(
                f"{store}/1{query if store == url else ''}", f"{broker}/0{query if broker == url else ''}"
            )
            assert "IP address mismatch" in told


def test_sentinels_find_the_primary(start: Starter, tmp_path: Path) -> None:
    primary = start()
    replica = start(*replica_settings(primary), password=primary.password)
    sentinel = SentinelServer(tmp_path / "sentinel", "queues", primary)
    try:
        sentinel.start()
        # The first of the three is down.
        url = f"sentinel://:{primary.password}@127.0.0.1:{find_free_port()};sentinel://:{primary.password}@127.0.0.1:{sentinel.port}"
        assert use_both(f"{url}/1?master_name=queues", f"{url}/0?master_name=queues") == "书 1"
        primary.kill()
        assert wait_until(lambda: sentinel.primary_port() == replica.port, timeout_s=30)
        assert use_both(f"{url}/1?master_name=queues", f"{url}/0?master_name=queues") == "书 1"
        assert "No master found" in use_both(f"{url}/1?master_name=carts", f"{url}/0?master_name=queues")
    finally:
        sentinel.stop()


UNFIT = [
    # The port of its bus; the default, 10,000 higher, may not exist.
    (("cluster-enabled yes", "cluster-port {port}"), "it is a node of a Redis Cluster"),
    (('rename-command HELLO ""',), "it doesn't know HELLO"),
]


def start_unfit(start: Starter, settings: Iterable[str]) -> str:
    """Returns the server's address without a database. Such a server never becomes ready like the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ValkeyServer, "is_ready", lambda self: "Ready to accept connections" in self.child.log_text()
        )
        lines = [line.format(port=find_free_port()) for line in settings]
        return start(*lines).url().rsplit("/", 1)[0]


@pytest.mark.parametrize(("lines", "reason"), UNFIT, ids=["cluster", "no HELLO"])
def test_unfit_servers_are_refused_by_name(
    start: Starter, settings: Settings, lines: tuple[str, ...], reason: str
) -> None:
    url, fit = start_unfit(start, lines), settings.REDIS_URL
    assert list(find_unfit_servers()) == []
    for names in (["REDIS_URL"], ["CELERY_BROKER_URL"], ["REDIS_URL", "CELERY_BROKER_URL"]):
        settings.REDIS_URL = f"{url}/0" if "REDIS_URL" in names else fit
        settings.CELERY_BROKER_URL = f"{url}/1" if "CELERY_BROKER_URL" in names else fit
        for name, told in zip(names, find_unfit_servers(), strict=True):
            assert told.startswith(f"{name} names a server that the shop can't work with: {reason}")


def test_no_program_starts_with_unfit_servers(start: Starter) -> None:
    lines, reason = UNFIT[1]
    url = start_unfit(start, lines)
    for program in (
        ["-c", "import project.wsgi"],
        ["-m", "celery", "-A", "worker", "worker", "--pool", "solo"],
        ["manage.py", "check", "--database", "default"],
    ):
        ended = run(program, REDIS_URL=f"{url}/0", CELERY_BROKER_URL=f"{url}/1")
        assert ended.returncode != 0, program
        for name in ("REDIS_URL", "CELERY_BROKER_URL"):
            assert f"{name} names a server that the shop can't work with: {reason}" in ended.stderr, program


def test_unreachable_servers_do_not_stop_the_start() -> None:
    gone = f"redis://127.0.0.1:{find_free_port()}"
    assert (
        run(["-c", "import project.wsgi"], REDIS_URL=f"{gone}/1", CELERY_BROKER_URL=f"{gone}/0").returncode
        == 0
    )


def test_silent_servers_do_not_stop_the_start() -> None:
    """Frozen servers accept connections and don't answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as frozen:
        url = f"redis://127.0.0.1:{frozen.getsockname()[1]}"
        started = time.monotonic()
        assert (
            run(["-c", "import project.wsgi"], REDIS_URL=f"{url}/1", CELERY_BROKER_URL=f"{url}/0").returncode
            == 0
        )
        began_s = time.monotonic() - started
    started = time.monotonic()
    assert redis_address.find_unfitness(redis_address.parse(url)) is None  # gone
    assert time.monotonic() - started < 1
    assert began_s < 20  # two timeouts of two seconds, plus Python's start
