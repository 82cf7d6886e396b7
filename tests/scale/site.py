"""The servers and programs of one case: PostgreSQL, separate servers for carts and queues, and two or three
of every program behind nginx.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

from project.local.child import Child
from project.local.errors import LocalError
from project.local.ports import LOOPBACK, find_free_port
from project.local.postgres import PostgresServer
from project.local.programs import (
    Program,
    beat_program,
    build_environment,
    gateway_program,
    simulator_program,
    web_program,
    worker_program,
)
from project.local.simulator import prepare_simulator
from project.local.state import ROOT
from project.local.valkey import ValkeyServer
from project.local.waiting import wait_until

WEBS, WORKERS, GATEWAYS, BEATS = 2, 3, 2, 2
READY_TIMEOUT_S = 300
# All buyers share one address, and each stands for many. All other settings are those of a real shop.
_RATES = (
    *("CHECKOUTS", "CLAIMS", "ORDER_REQUESTS", "PAYMENT_STARTS_OF_ORDER", "PAYMENT_STARTS_OF_BUYER"),
    *("LOGINS_OF_ADDRESS", "LOGINS_OF_KNOWN_NAME"),
)
LIMITLESS = {f"LIMIT_{name}": "1000000/60" for name in _RATES} | {"MAX_OPEN_ORDERS": "1000000"}
# A request that a web process didn't start is passed to the other one; nginx never repeats an order itself.
NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    upstream shop {{ {servers} keepalive 32; }}
    server {{
        listen {host}:{port};
        location / {{
            proxy_pass http://shop;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_connect_timeout 1s;
            proxy_read_timeout 40s;
        }}
    }}
}}
"""


@dataclass
class Site:
    """A PostgreSQL with the demo's shop, and a folder.

    The other servers and the programs come with each case.
    """

    folder: Path
    postgres: PostgresServer
    env: dict[str, str]
    front_port: int
    web_ports: list[int]
    simulator_port: int
    children: dict[str, Child] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.front_port}"

    @contextlib.contextmanager
    def running(self, env: Mapping[str, str], *, workers: int = WORKERS, webs: int = WEBS) -> Iterator[None]:
        """Runs the programs with these changes of the environment; yields once they are ready to sell, and
        stops all of them afterwards.
        """
        programs = [
            simulator_program(self.simulator_port, self.folder / "simulator"),
            *(
                _named(web_program(port, workers=1), f"web{number}")
                for number, port in enumerate(self.web_ports[:webs], 1)
            ),
            *(worker_program(name=f"worker{number}") for number in range(1, workers + 1)),
            *(gateway_program(name=f"gateway{number}") for number in range(1, GATEWAYS + 1)),
            *(_named(beat_program(), f"beat{number}") for number in range(1, BEATS + 1)),
            self._front(webs),
        ]
        self.children = {item.name: self._child(item, env) for item in programs}
        try:
            for child in self.children.values():
                child.start()
            if not wait_until(lambda: self._is_ready(webs), timeout_s=READY_TIMEOUT_S, poll_s=0.3):
                raise LocalError(f"The shop did not get ready within {READY_TIMEOUT_S} s.\n{self._tails()}")
            yield
        finally:
            for child in self.children.values():
                child.send(child.stop_signal)
            for child in self.children.values():
                child.stop(8)

    def manage(self, *args: str, env: Mapping[str, str] | None = None) -> str:
        """Raises: LocalError when the command fails."""
        ended = subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=ROOT,
            env={**self.env, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode != 0:
            raise LocalError(f"manage.py {' '.join(args)} failed:\n{ended.stdout}{ended.stderr}")
        return ended.stdout

    def _child(self, item: Program, env: Mapping[str, str]) -> Child:
        return Child(
            name=item.name,
            argv=item.argv,
            env={**self.env, **env, **item.env},
            cwd=ROOT,
            log_path=self.folder / f"{item.name}.log",
        )

    def _front(self, webs: int) -> Program:
        folder = self.folder / "nginx"
        folder.mkdir(exist_ok=True)
        # Skipped for a second after two failures.
        servers = " ".join(
            f"server {LOOPBACK}:{port} max_fails=2 fail_timeout=1s;" for port in self.web_ports[:webs]
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(
            NGINX.format(folder=folder, host=LOOPBACK, port=self.front_port, servers=servers, user=user)
        )
        return Program(
            "nginx",
            [
                str(shutil.which("nginx") or "/usr/sbin/nginx"),
                "-p",
                str(folder),
                "-c",
                str(folder / "nginx.conf"),
            ],
        )

    def _is_ready(self, webs: int) -> bool:
        for child in self.children.values():
            if not child.is_running():
                raise LocalError(
                    f"{child.name} has ended by itself. The end of {child.log_path}:\n{child.log_tail()}"
                )
        urls = [f"http://{LOOPBACK}:{port}/readyz" for port in self.web_ports[:webs]]
        workers = [child for name, child in self.children.items() if name.startswith(("worker", "gateway"))]
        try:
            answers = [
                httpx.get(url, timeout=5, trust_env=False).status_code
                for url in [*urls, f"http://{LOOPBACK}:{self.simulator_port}/"]
            ]
        except httpx.HTTPError:
            return False
        return answers == [200] * len(answers) and all(" ready." in child.log_text() for child in workers)

    def _tails(self) -> str:
        return "\n".join(f"{child.log_path}:\n{child.log_tail()}" for child in self.children.values())


@contextlib.contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """PostgreSQL with tables, courses and buyers, every commit flushed."""
    with contextlib.ExitStack() as stack:
        password = secrets.token_hex(16)
        postgres = PostgresServer(folder / "postgres", password)
        stack.callback(postgres.remove)
        stack.callback(postgres.stop, 5)
        postgres.start()
        front_port, simulator_port, *web_ports = (find_free_port() for _ in range(2 + WEBS))
        merchant = prepare_simulator(folder / "simulator")
        env = build_environment(
            database_url=postgres.url(),
            valkey_url=f"redis://{LOOPBACK}:1",  # each case has its own
            web_port=front_port,
            simulator_port=simulator_port,
            simulator_env=merchant.environment(),
            secret_key=secrets.token_urlsafe(64),
            demo_password=secrets.token_urlsafe(12),
        )
        # Workers log at INFO that they are ready.
        env |= {**LIMITLESS, "LOG_LEVEL": "INFO"}
        site = Site(folder, postgres, env, front_port, web_ports, simulator_port)
        site.manage("migrate", "--verbosity", "0")
        site.manage("seed_demo")
        yield site


@contextlib.contextmanager
def valkey(folder: Path, *settings: str, password: str = "") -> Iterator[ValkeyServer]:
    """One server, its log written each second."""
    server = ValkeyServer(folder, password or secrets.token_hex(8), settings=settings)
    try:
        server.start()
        yield server
    finally:
        server.stop(3)


def unpaid(database_url: str, accepted: list[str]) -> list[str]:
    """Accepted orders that are not exactly one paid order."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT order_number FROM shop_order WHERE order_number = ANY(%s) AND status = 'paid' GROUP BY 1 "
            "HAVING count(*) = 1",
            [accepted],
        ).fetchall()
    return sorted({*accepted} - {number for (number,) in rows})


def _named(item: Program, name: str) -> Program:
    return Program(name, item.argv, item.env, item.stop_s)
