"""A whole shop for one test, with its own database, broker, worker, beat, web and simulator, all of them real
processes.
"""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row
from pytest_celery import CeleryBrokerCluster, CeleryTestSetup, CeleryWorkerCluster

from project.local.api_client import ApiClient
from project.local.ports import find_free_port
from project.local.programs import (
    ALL_QUEUES,
    beat_program,
    build_environment,
    gateway_program,
    simulator_program,
    web_program,
    worker_program,
)
from project.local.simulator import Merchant, prepare_simulator
from project.local.waiting import wait_until
from tests.databases import copy_demo_database, drop_database
from tests.nodes.shop_nodes import ProcessNode, ValkeyNode, WorkerNode, make_broker, make_process, make_worker

READY_TIMEOUT_S = 90
# All of a test's clients share one address, and one buyer stands for many.
_RATES = (
    "CHECKOUTS", "CLAIMS", "ORDER_REQUESTS", "PAYMENT_STARTS_OF_ORDER", "PAYMENT_STARTS_OF_BUYER",
    "LOGINS_OF_ADDRESS", "LOGINS_OF_KNOWN_NAME",
    "LOGIN_FAILURES_OF_PAIR", "LOGIN_FAILURES_OF_ADDRESS", "LOGIN_FAILURES_OF_NAME",
    "LOGIN_FAILURES_OF_DEVICE",
)  # fmt: skip
LIMITLESS = {f"LIMIT_{name}": "1000000/60" for name in _RATES} | {
    "MAX_OPEN_ORDERS": "1000000",
    "MAX_TOKENS": "1000",
    "LOGIN_PLACES": "4",
    "GATEWAY_PLACES": "4",
}
# Recovery within seconds instead of a minute.
IMPATIENT = {"WORK_LEASE_S": "2", "SWEEP_INTERVAL_S": "1", "LOG_LEVEL": "INFO", "LOG_FORMAT": "console"}


@dataclass
class ShopStack:
    """A running shop.

    Tests may kill, freeze and restart its parts; what is still running at the end of the test is killed.
    """

    folder: Path
    database_url: str
    env: dict[str, str]
    web_url: str
    simulator_url: str
    broker: ValkeyNode
    worker: WorkerNode
    beat: ProcessNode
    web: ProcessNode
    simulator: ProcessNode
    extra_workers: list[WorkerNode] = field(default_factory=list)
    _clients: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _connection: psycopg.Connection[dict[str, Any]] | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Runs the shop during the block; stops it afterwards and drops its database. Prints the logs if the
        block fails.
        """
        try:
            self.start()
            yield
        except BaseException:
            print(self.logs())
            raise
        finally:
            self.stop()
            drop_database(self.database_url)

    def api(self, username: str = "buyer1") -> ApiClient:
        """A logged-in client of the JSON API; closed with the stack."""
        client = self.client()
        client.log_in(username, self.env["DEMO_PASSWORD"])
        return client

    def client(self) -> ApiClient:
        """A client of the JSON API that isn't logged in; closed with the stack."""
        return self._clients.enter_context(ApiClient(self.web_url))

    def rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        """Queries the database: `stack.rows("SELECT status FROM shop_order WHERE order_number = %s",
        number)`.
        """
        # Kept open: tests query often, and a connection costs more than most queries.
        if self._connection is None or self._connection.closed:
            self._connection = self._clients.enter_context(
                psycopg.connect(self.database_url, row_factory=dict_row, autocommit=True)
            )
        with self._connection.cursor() as cursor:
            cursor.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *parameters: Any) -> Any:
        """The only column of the only row."""
        (row,) = self.rows(query, *parameters)
        (value,) = row.values()
        return value

    def cut_database_connections(self) -> None:
        """Ends every connection to this shop's database, as a failover does."""
        self.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND "
            "pid <> pg_backend_pid()"
        )

    def add_worker(self, name: str = "worker2") -> WorkerNode:
        """One more worker on the same broker; returns when it is ready."""
        worker = make_worker(worker_program(name=name, queues=ALL_QUEUES), env=self.env, folder=self.folder)
        self.extra_workers.append(worker)
        worker.start()
        worker.ready()
        return worker

    @property
    def celery_setup(self) -> CeleryTestSetup:
        """The broker and the workers as pytest-celery knows them."""
        return CeleryTestSetup(
            CeleryWorkerCluster(self.worker, *self.extra_workers), CeleryBrokerCluster(self.broker), None
        )

    def start(self) -> None:
        """Starts all parts at once and returns when the shop is ready to sell."""
        self.broker.start()
        for node in self._programs:
            node.start()
        for node in self._programs:
            node.ready()
        if not wait_until(self.is_ready, timeout_s=READY_TIMEOUT_S):
            raise TimeoutError(
                f"/readyz of the shop is not 200. Web:\n{self.web.container.child.log_tail(40)}"
            )

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.web_url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Stops everything at once; worker and web gracefully, so that their coverage data isn't lost."""
        self._clients.close()
        children = [node.container.child for node in self._programs]
        for child in children:
            child.send(child.stop_signal)
        for child in children:
            child.stop(timeout_s=5)
        self.broker.teardown()

    def logs(self) -> str:
        """The end of every part's log, for the report of a test that failed."""
        return "\n".join(f"--- {node.name()}\n{node.container.child.log_tail(30)}" for node in self._programs)

    @property
    def _programs(self) -> list[ProcessNode | WorkerNode]:
        return [self.web, self.worker, *self.extra_workers, self.simulator, self.beat]


def build_shop_stack(
    folder: Path,
    *,
    extra_env: Mapping[str, str] | None = None,
    has_gateway_worker: bool = False,
    web_workers: int = 1,
) -> ShopStack:
    """A shop that has not been started, on a copy of the seeded database.

    One worker does everything, unless there is a separate gateway worker.
    """
    folder.mkdir(parents=True, exist_ok=True)
    broker = make_broker(folder / "valkey", password=secrets.token_hex(8))
    broker.container.server.port = find_free_port()
    web_port, simulator_port = find_free_port(), find_free_port()
    merchant = _copy_merchant(folder / "simulator")
    database_url = copy_demo_database()
    env = build_environment(
        database_url=database_url,
        valkey_url=broker.container.server.url().rsplit("/", 1)[0],
        web_port=web_port,
        simulator_port=simulator_port,
        simulator_env=merchant.environment(),
        secret_key=os.environ["DJANGO_SECRET_KEY"],
        demo_password=os.environ["DEMO_PASSWORD"],
    )
    env |= (
        {
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
            "PYTHONPATH": f"{_hide_packages_of_tests()}{os.pathsep}{env['PYTHONPATH']}",
        }
        | IMPATIENT
        | LIMITLESS
        | dict(extra_env or {})
    )
    worker = worker_program() if has_gateway_worker else worker_program(queues=ALL_QUEUES)
    gateways = [gateway_program()] if has_gateway_worker else []
    return ShopStack(
        folder=folder,
        database_url=database_url,
        env=env,
        web_url=f"http://127.0.0.1:{web_port}",
        simulator_url=f"http://127.0.0.1:{simulator_port}",
        broker=broker,
        worker=make_worker(worker, env=env, folder=folder),
        beat=make_process(beat_program(), env=env, folder=folder),
        web=make_process(web_program(web_port, workers=web_workers), env=env, folder=folder, port=web_port),
        simulator=make_process(
            simulator_program(simulator_port, folder / "simulator"),
            env=env,
            folder=folder,
            port=simulator_port,
        ),
        extra_workers=[make_worker(program, env=env, folder=folder) for program in gateways],
    )


@cache
def _hide_packages_of_tests() -> Path:
    """Leads PYTHONPATH: the shop's programs find only packages that a shop has. Libraries of theirs import
    these whenever they are installed, which is a seventh of a start.
    """
    folder = Path(tempfile.mkdtemp(dir=os.environ["TEST_FOLDER"]))
    for name in ("rich", "opentelemetry"):
        (folder / f"{name}.py").write_text("raise ImportError('only tests need it')\n")
    return folder


def _copy_merchant(folder: Path) -> Merchant:
    """A simulator's state with its first merchant. Making the keys takes longer than starting a simulator."""
    shutil.copytree(_make_merchant(), folder)
    return Merchant(folder)


@cache
def _make_merchant() -> Path:
    return prepare_simulator(Path(tempfile.mkdtemp(dir=os.environ["TEST_FOLDER"]))).folder
