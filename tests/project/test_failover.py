"""A web process while PostgreSQL becomes read-only, moves, or stops answering.

Real servers, and granian as it is deployed.
"""

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from project.local.child import Child
from project.local.ports import find_free_port
from project.local.postgres import PostgresServer
from project.local.programs import web_program
from project.local.state import ROOT
from project.local.waiting import wait_until
from tests.databases import copy_demo_database, drop_database
from tests.forwarder import Forwarder
from tests.nodes.shop_stack import LIMITLESS
from tests.variants import first_of

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("failover")]

LONGEST_S = 6.0
BODY = {
    "course_price_list": [{"course_id": 1, "policy_id": 1, "coupon_record_id": 0}],
    "coupon_record_id": 0,
    "balance": 0,
    "alipay": "1.00",
    "buy_again": True,
}


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    url = copy_demo_database()
    yield url
    drop_database(url)


def port_of(url: str) -> int:
    found = re.search(r":(\d+)/", url)
    assert found is not None
    return int(found[1])


class Web:
    """A web process with four places and this database address."""

    def __init__(self, database_url: str, folder: Path, *options: str, **env: str) -> None:
        port = find_free_port()
        self.url = f"http://127.0.0.1:{port}"
        program = web_program(port, workers=1)
        shop_env = {
            **os.environ,
            **LIMITLESS,
            "DATABASE_URL": database_url,
            **program.env,
            "WEB_THREADS": "4",
            "LOGIN_PLACES": "2",
            **env,
        }
        self.child = Child(
            name="web",
            argv=[*program.argv, *options],
            env={**shop_env, "PUBLIC_URL": self.url},
            cwd=ROOT,
            log_path=folder / "web.log",
        )
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def __enter__(self) -> "Web":
        self.child.start()
        assert wait_until(lambda: self.status("/healthz") == 200, timeout_s=60), self.child.log_text()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.client.close()
        self.child.stop(5)
        print(self.child.log_tail(30))

    def status(self, path: str) -> int | None:
        try:
            return httpx.get(f"{self.url}{path}", timeout=30, trust_env=False).status_code
        except httpx.HTTPError:
            return None

    def log_in(self) -> None:
        answer = self.client.post(
            "/api/v1/auth/login/", json={"username": "buyer1", "password": os.environ["DEMO_PASSWORD"]}
        )
        assert answer.status_code == 200, answer.text
        self.client.headers["Authorization"] = f"Token {answer.json()['data']['token']}"

    def order(self) -> httpx.Response:
        return self.client.post(
            "/api/v1/orders/", json=BODY, headers={"Idempotency-Key": secrets.token_hex(8)}
        )


def count_requests(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM shop_orderrequest").fetchone()
        assert row is not None
        return int(row[0])


@contextlib.contextmanager
def copied(database_url: str, folder: Path) -> Iterator[PostgresServer]:
    """A read-only server with the same rows, like a former primary that came back as a standby."""
    primary = PostgresServer(
        folder / "unused",
        re.findall(r":([^:@]+)@", database_url)[0],
        durable=False,
        port=port_of(database_url),
    )
    copy = PostgresServer(folder / "copy", primary.password, durable=False, primary=primary)
    try:
        copy.start()
        yield copy
    finally:
        copy.stop(5)
        copy.remove()


@pytest.fixture
def read_only_copy(database_url: str, tmp_path: Path) -> Iterator[PostgresServer]:
    with copied(database_url, tmp_path) as copy:
        yield copy


def test_read_only_server_is_left_as_soon_as_the_address_moves(
    database_url: str, read_only_copy: PostgresServer, tmp_path: Path
) -> None:
    with Forwarder(port_of(database_url)) as address:
        moving_url = database_url.replace(f":{port_of(database_url)}/", f":{address.port}/")
        with Web(moving_url, tmp_path) as web:
            web.log_in()
            assert web.order().status_code == 202
            before = count_requests(database_url)

            address.target_port = read_only_copy.port
            with psycopg.connect(database_url, autocommit=True) as connection:  # the old primary goes down
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                    "current_database() AND pid <> pg_backend_pid()"
                )
            assert [web.order().status_code for _ in range(5)] == [503] * 5
            ready = web.client.get("/readyz")
            assert (ready.status_code, ready.json()["database"]) == (503, "unwritable")
            assert web.status("/healthz") == 200
            assert web.client.get("/api/v1/courses/").status_code == 200  # read-only requests go on
            assert count_requests(database_url) == before

            address.target_port = port_of(database_url)
            assert [web.order().status_code for _ in range(8)] == [202] * 8
            assert web.status("/readyz") == 200
            assert count_requests(database_url) == before + 8


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        (
            "ALTER DATABASE {} SET default_transaction_read_only = on",
            "ALTER DATABASE {} RESET default_transaction_read_only",
        ),
        ("ALTER TABLE shop_orderrequest RENAME TO hidden", "ALTER TABLE hidden RENAME TO shop_orderrequest"),
    ],
    ids=["read-only", "no table"],
)
def test_not_ready_while_no_order_can_be_taken(
    database_url: str, spoil: str, mend: str, tmp_path: Path
) -> None:
    name = database_url.rsplit("/", 1)[1]
    with Web(database_url, tmp_path) as web:
        try:
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(spoil.format(name))
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
                    "current_database() AND pid <> pg_backend_pid()"
                )
            assert [web.status("/readyz") for _ in range(3)] == [503] * 3
            assert web.status("/healthz") == 200
        finally:
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute("SET default_transaction_read_only = off")
                connection.execute(mend.format(name))
        assert [web.status("/readyz") for _ in range(6)] == [200] * 6


@pytest.fixture(scope="module")
def own_server(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A writable copy, which can be frozen without affecting others; each test sees it recover."""
    with copied(database_url, tmp_path_factory.mktemp("own")) as server:
        server.promote()
        yield server


def timed(web: Web, path: str) -> tuple[int | None, float]:
    started = time.monotonic()
    return web.status(path), time.monotonic() - started


@contextlib.contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """Its kernel accepts data, and nobody reads it."""
    processes = server.processes()
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@contextlib.contextmanager
def cut_off(server: PostgresServer) -> Iterator[None]:
    """No packet reaches it or comes back, as when its machine or a cable fails."""
    table = f"course_shop_{secrets.token_hex(4)}"
    rules = "\n".join(f"tcp {side} {server.port} drop" for side in ("dport", "sport"))
    ruleset = f"table inet {table} {{\nchain out {{\ntype filter hook output priority 0;\n{rules}\n}}\n}}\n"
    made = subprocess.run(["nft", "-f", "-"], input=ruleset, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"nftables can't be used here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "inet", table], check=True)


needs_nft = pytest.mark.skipif(shutil.which("nft") is None, reason="nft is missing: apt-get install nftables")


@pytest.mark.parametrize("warmed", first_of(8, 0))
@pytest.mark.parametrize("silence", [frozen, pytest.param(cut_off, marks=needs_nft)])
def test_silent_server_costs_at_most_six_seconds(
    warmed: int,
    silence: Callable[[PostgresServer], contextlib.AbstractContextManager[None]],
    own_server: PostgresServer,
    database_url: str,
    tmp_path: Path,
) -> None:
    """Many more requests than places, with and without connections, and new ones all the while."""
    name = database_url.rsplit("/", 1)[1]
    with Web(own_server.url(name), tmp_path) as web, ThreadPoolExecutor(40) as pool:
        warm = [status for status, _ in pool.map(lambda _: timed(web, "/readyz"), range(warmed))]
        assert warm == [200] * warmed
        with silence(own_server):
            asked = [pool.submit(timed, web, "/readyz") for _ in range(40)]
            alive = [timed(web, "/healthz") for _ in range(5)]
            answers = [one.result() for one in asked]
            later = [timed(web, "/readyz") for _ in range(3)]
        print(sorted(seconds for _, seconds in answers), later, alive)
        assert {status for status, _ in answers} == {503}
        assert max(seconds for _, seconds in answers) < LONGEST_S
        assert [status for status, _ in alive] == [200] * 5
        assert max(seconds for _, seconds in alive) < 1
        # The silence is known by now.
        assert [status for status, _ in later] == [503] * 3
        assert max(seconds for _, seconds in later) < 1
        assert wait_until(lambda: web.status("/readyz") == 200, timeout_s=10)
        assert [status for status, _ in pool.map(lambda _: timed(web, "/readyz"), range(12))] == [200] * 12


def test_a_slow_statement_is_no_silence(database_url: str, tmp_path: Path) -> None:
    """The control: a request that waits for a lock longer than our silence limit ends by its own timeout."""
    with Web(database_url, tmp_path) as web, psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE shop_orderrequest IN ACCESS EXCLUSIVE MODE")
        status, seconds = timed(web, "/readyz")
        assert status == 503
        assert seconds >= 2  # lock_timeout
        assert "canceling statement due to lock timeout" in web.child.log_text()
        assert "database_silent" not in web.child.log_text()


@pytest.mark.slow
def test_connections_never_outnumber_places_however_threads_come_and_go(
    database_url: str, tmp_path: Path
) -> None:
    """Granian ends threads after five idle seconds; bursts with pauses make it start others repeatedly."""
    with (
        Web(database_url, tmp_path) as web,
        ThreadPoolExecutor(16) as pool,
        psycopg.connect(database_url) as own,
    ):
        counts, threads = [], []
        for _ in range(4):
            assert {status for status, _ in pool.map(lambda _: timed(web, "/readyz"), range(32))} == {200}
            ((count,),) = own.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> "
                "pg_backend_pid()"
            )
            counts.append(count)
            own.rollback()
            threads.append(count_threads(web.child.pid))
            time.sleep(7)
        print(counts, threads, count_threads(web.child.pid))
        assert max(counts) <= 4
        assert count_threads(web.child.pid) < max(threads)  # threads did end


def count_threads(pid: int) -> int:
    return sum(process.num_threads() for process in psutil.Process(pid).children(recursive=True))
