"""The failovers: for each, its servers, the shop's configuration, and what fails while buyers buy."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from project.local.pgbouncer import FOLLOWS_PREPARED, PgBouncer, find_pgbouncers
from project.local.postgres import SUPERUSER, PostgresServer
from project.local.rabbitmq import RabbitServer, find_rabbitmq
from project.local.sentinel import SentinelServer, replica_settings
from project.local.tls import make_certificate
from project.local.valkey import ValkeyServer
from project.local.waiting import wait_until
from tests.forwarder import Forwarder
from tests.scale.site import Site, valkey

# The pause between two faults of a case, to tell them apart in the logs.
PAUSE_S = 3.0
TIMEOUTS = "lock_timeout = '2s'", "statement_timeout = '10s'", "idle_in_transaction_session_timeout = '15s'"


@dataclass(frozen=True)
class Setup:
    """A case's changes to the programs' environment, its fault, and the database afterwards."""

    env: Mapping[str, str]
    fail: Callable[[], None]
    postgres: PostgresServer


@dataclass(frozen=True)
class Case:
    """`missing` is the package that the machine lacks for it; empty if none."""

    name: str
    title: str
    prepare: Callable[[Site, Path], contextlib.AbstractContextManager[Setup]]
    missing: Callable[[], str] = str


def two_servers(store: ValkeyServer, broker: ValkeyServer) -> dict[str, str]:
    return {"REDIS_URL": store.url(1), "CELERY_BROKER_URL": broker.url(0)}


@contextlib.contextmanager
def everything_twice(site: Site, folder: Path) -> Iterator[Setup]:
    """One process of each kind is killed and not restarted."""

    def fail() -> None:
        for name in ("web1", "worker1", "gateway1", "beat1"):
            if name in site.children:
                site.children[name].kill()
                time.sleep(PAUSE_S)

    with valkey(folder / "store") as store, valkey(folder / "broker") as broker:
        yield Setup(two_servers(store, broker), fail, site.postgres)


@contextlib.contextmanager
def valkey_killed(site: Site, folder: Path) -> Iterator[Setup]:
    """The server of the queues, then that of the carts; each comes back with its data."""
    with valkey(folder / "store") as store, valkey(folder / "broker") as broker:

        def fail() -> None:
            for server in (broker, store):
                server.kill()
                time.sleep(PAUSE_S)
                server.start()
                time.sleep(PAUSE_S)

        yield Setup(two_servers(store, broker), fail, site.postgres)


def has_other_primary(watcher: SentinelServer, port: int) -> bool:
    return watcher.primary_port() != port


@contextlib.contextmanager
def sentinels(site: Site, folder: Path) -> Iterator[Setup]:
    """The primaries of queues and carts are killed, one after the other; three Sentinels each make the
    replica the primary.
    """
    with contextlib.ExitStack() as stack:
        urls, primaries = {}, []
        for variable, name, database in (("CELERY_BROKER_URL", "queues", 0), ("REDIS_URL", "carts", 1)):
            primary = stack.enter_context(valkey(folder / f"{name}1"))
            stack.enter_context(
                valkey(folder / f"{name}2", *replica_settings(primary), password=primary.password)
            )
            watchers = [
                SentinelServer(folder / f"{name}-sentinel{number}", name, primary, quorum=2)
                for number in range(3)
            ]
            for watcher in watchers:
                stack.callback(watcher.stop)
                watcher.start()
            parts = ";".join(
                f"sentinel://:{primary.password}@127.0.0.1:{watcher.port}" for watcher in watchers
            )
            urls[variable] = f"{parts}/{database}?master_name={name}"
            primaries.append((primary, watchers[0]))

        def fail() -> None:
            for primary, watcher in primaries:
                primary.kill()
                wait_until(partial(has_other_primary, watcher, primary.port), timeout_s=30)
                time.sleep(PAUSE_S)

        yield Setup(urls, fail, site.postgres)


@contextlib.contextmanager
def rabbitmq(site: Site, folder: Path, queue_type: str) -> Iterator[Setup]:
    """The broker is killed and comes back."""
    server = RabbitServer(folder / "rabbitmq")
    try:
        server.start()

        def fail() -> None:
            server.kill()
            time.sleep(PAUSE_S)
            server.start()

        with valkey(folder / "store") as store:
            env = {
                "REDIS_URL": store.url(1),
                "CELERY_BROKER_URL": server.url(),
                "BROKER_QUEUE_TYPE": queue_type,
            }
            yield Setup(env, fail, site.postgres)
    finally:
        server.stop()


@contextlib.contextmanager
def pgbouncer(site: Site, folder: Path, mode: str) -> Iterator[Setup]:
    """PostgreSQL restarts behind the pooler, and then the pooler."""
    if mode == "transaction":
        with site.postgres.connect("postgres", role=SUPERUSER) as connection:
            for timeout in TIMEOUTS:
                connection.execute(f"ALTER ROLE shop SET {timeout}")
    pooler = PgBouncer(folder / "pgbouncer", site.postgres, mode, find_pgbouncers()[0][1])
    try:
        pooler.start()

        def fail() -> None:
            restart(site.postgres)
            time.sleep(PAUSE_S)
            pooler.child.kill()
            pooler.start()

        with valkey(folder / "store") as store, valkey(folder / "broker") as broker:
            env = two_servers(store, broker) | {"DATABASE_URL": pooler.url("shop"), "DATABASE_POOLER": mode}
            yield Setup(env, fail, site.postgres)
    finally:
        pooler.remove()


@contextlib.contextmanager
def postgres_fault(site: Site, folder: Path, fault: Callable[[PostgresServer], None]) -> Iterator[Setup]:
    with valkey(folder / "store") as store, valkey(folder / "broker") as broker:
        yield Setup(two_servers(store, broker), lambda: fault(site.postgres), site.postgres)


def restart(server: PostgresServer) -> None:
    """As in an upgrade: sessions are ended, and the server restarts."""
    server.stop(20)
    server.start()


def kill(server: PostgresServer) -> None:
    """All its processes at once, as in a power failure; it restarts and replays its log."""
    kill_all(server)
    time.sleep(1)
    server.start()


def kill_all(server: PostgresServer) -> None:
    """PostgreSQL's processes have their own sessions."""
    processes = server.processes()
    for process in processes:
        process.kill()
    server.child.kill()


def freeze(server: PostgresServer) -> None:
    """Nothing is answered or refused for ten seconds, as with a hanging machine."""
    processes = server.processes()
    for process in processes:
        process.suspend()
    time.sleep(10)
    for process in processes:
        process.resume()


@contextlib.contextmanager
def failover(site: Site, folder: Path) -> Iterator[Setup]:
    """The primary is killed for good, and its synchronous copy becomes the primary.

    The shop knows both addresses.
    """
    copy = PostgresServer(folder / "copy", site.postgres.password, primary=site.postgres)
    try:
        copy.start()
        with site.postgres.connect("postgres", role=SUPERUSER) as connection:
            # Commits wait for the copy; otherwise the last ones would be lost with the primary.
            connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            connection.execute("SELECT pg_reload_conf()")

        def fail() -> None:
            kill_all(site.postgres)
            # it has no standby to wait for
            with copy.connect("postgres", role=SUPERUSER) as connection:
                connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
                connection.execute("SELECT pg_reload_conf()")
            copy.promote()

        with valkey(folder / "store") as store, valkey(folder / "broker") as broker:
            url = site.postgres.url().replace(
                f":{site.postgres.port}/", f":{site.postgres.port},127.0.0.1:{copy.port}/"
            )
            yield Setup(two_servers(store, broker) | {"DATABASE_URL": url}, fail, copy)
    finally:
        copy.stop(5)
        copy.remove()


@contextlib.contextmanager
def tls(site: Site, folder: Path) -> Iterator[Setup]:
    """PostgreSQL, carts and RabbitMQ over TLS with our own authority; PostgreSQL and the broker restart."""
    made = make_certificate(folder / "tls")
    server = RabbitServer(folder / "rabbitmq", made)
    with valkey(folder / "store") as store, contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        database, carts = (
            stack.enter_context(Forwarder(port, certificate=made, protocol=protocol))
            for port, protocol in ((site.postgres.port, "postgresql"), (store.port, ""))
        )
        database_url = site.postgres.url().replace(f":{site.postgres.port}/", f":{database.port}/")
        env = {
            "DATABASE_URL": f"{database_url}?sslmode=verify-full&sslrootcert={made.authority}"
            "&sslnegotiation=direct",
            "REDIS_URL": f"rediss://:{store.password}@127.0.0.1:{carts.port}/1?ssl_ca_certs={made.authority}",
            "CELERY_BROKER_URL": server.tls_url(),
        }

        def fail() -> None:
            restart(site.postgres)
            time.sleep(PAUSE_S)
            server.kill()
            server.start()

        yield Setup(env, fail, site.postgres)


def _no_rabbitmq() -> str:
    return "" if find_rabbitmq() else "rabbitmq-server: apt-get install rabbitmq-server"


def _no_pgbouncer() -> str:
    return "" if find_pgbouncers() else "PgBouncer: apt-get install pgbouncer"


def _no_new_pgbouncer() -> str:
    newest = max((version for version, _ in find_pgbouncers()), default=(0, 0))
    return (
        ""
        if newest >= FOLLOWS_PREPARED
        else "PgBouncer 1.21 or newer: bin/build-pgbouncer, or any other that the variable PGBOUNCER names"
    )


def no_nginx() -> str:
    return (
        ""
        if shutil.which("nginx") or Path("/usr/sbin/nginx").exists()
        else "nginx: apt-get install --no-install-recommends nginx"
    )


# The last, since it leaves the site without its PostgreSQL.
CASES = (
    Case("twice", "one of each kind of program killed for good", everything_twice),
    Case("valkey", "Valkey of the queues, then of the carts: kill -9, back after 3 s", valkey_killed),
    Case("sentinel", "Sentinel: both primaries killed, replicas take over", sentinels),
    Case(
        "rabbitmq-classic",
        "RabbitMQ, classic queues: kill -9 and restart",
        lambda s, f: rabbitmq(s, f, "classic"),
        _no_rabbitmq,
    ),
    Case(
        "rabbitmq-quorum",
        "RabbitMQ, quorum queues: kill -9 and restart",
        lambda s, f: rabbitmq(s, f, "quorum"),
        _no_rabbitmq,
    ),
    Case(
        "pgbouncer-session",
        "PgBouncer, session mode: PostgreSQL and pooler restart",
        lambda s, f: pgbouncer(s, f, "session"),
        _no_pgbouncer,
    ),
    Case(
        "pgbouncer-transaction",
        "PgBouncer, transaction mode: PostgreSQL and pooler restart",
        lambda s, f: pgbouncer(s, f, "transaction"),
        _no_new_pgbouncer,
    ),
    Case("tls", "TLS with an own authority everywhere: PostgreSQL and RabbitMQ restart", tls, _no_rabbitmq),
    Case("postgres-restart", "PostgreSQL: restart", lambda s, f: postgres_fault(s, f, restart)),
    Case("postgres-frozen", "PostgreSQL: silent for 10 s", lambda s, f: postgres_fault(s, f, freeze)),
    Case(
        "postgres-kill",
        "PostgreSQL: kill -9 of all processes, back after 1 s",
        lambda s, f: postgres_fault(s, f, kill),
    ),
    Case("postgres-failover", "PostgreSQL: primary killed for good, synchronous replica promoted", failover),
)
