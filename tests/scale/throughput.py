"""How many orders per second one, two and three worker processes create, and one and two web instances
accept.
"""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench.client import Client, Plan, build_request
from project.local.errors import LocalError
from project.local.waiting import wait_until
from tests.scale.buyers import add_buyers, add_tokens, simple_body
from tests.scale.cases import two_servers
from tests.scale.site import Site, valkey

# One order per buyer, since a buyer's orders are created one after the other.
ORDERS, CONNECTIONS = 6000, 16
DRAIN_TIMEOUT_S = 180


@dataclass(frozen=True)
class Rate:
    """Orders per second of a setup."""

    what: str
    per_s: float


def measure(site: Site, folder: Path) -> list[Rate]:
    """Orders are accepted while no worker runs, and created while no buyer sends requests, so each figure is
    for one kind of process.
    """
    rates: list[Rate] = []
    with valkey(folder / "store") as store, valkey(folder / "broker") as broker:
        env = two_servers(store, broker) | {"SWEEP_INTERVAL_S": "1"}
        for webs, workers in ((1, 1), (2, 2), (2, 3)):
            with site.running(env, workers=workers, webs=webs):
                requests = _requests(site)
                names = [name for name in site.children if name.startswith("worker")]
                taken_per_s = _take_in(site, requests, names)
                if webs > len([rate for rate in rates if "web" in rate.what]):
                    rates.append(
                        Rate(f"taken in by {webs} web instance{'s' if webs > 1 else ''}", taken_per_s)
                    )
                rates.append(
                    Rate(
                        f"created by {workers} worker process{'es' if workers > 1 else ''}",
                        _create(site, names),
                    )
                )
    return rates


def _take_in(site: Site, requests: Sequence[bytes], workers: Sequence[str]) -> float:
    for name in workers:
        _suspend(site, name, is_suspended=True)
    with Client(Plan(site.front_port, requests, CONNECTIONS)) as client:
        result = client.run()
    if wrong := result.not_expected(202):
        raise LocalError("; ".join(wrong))
    return len(requests) / result.wall_s


def _create(site: Site, workers: Sequence[str]) -> float:
    with psycopg.connect(site.postgres.url(), autocommit=True) as connection:
        waiting = _count_waiting(connection)
        for name in workers:
            _suspend(site, name, is_suspended=False)
        started = time.monotonic()
        if not wait_until(lambda: _count_waiting(connection) == 0, timeout_s=DRAIN_TIMEOUT_S, poll_s=0.05):
            raise LocalError(
                f"{_count_waiting(connection)} orders were not created within {DRAIN_TIMEOUT_S} s"
            )
        return waiting / (time.monotonic() - started)


def _count_waiting(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM shop_orderrequest WHERE available_at IS NOT NULL"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _suspend(site: Site, name: str, *, is_suspended: bool) -> None:
    process = psutil.Process(site.children[name].pid)
    for one in (process, *process.children(recursive=True)):
        if is_suspended:
            one.suspend()
        else:
            one.resume()


def _requests(site: Site) -> list[bytes]:
    url = site.postgres.url()
    body = json.dumps(simple_body(url)).encode()
    return [
        build_request(
            "POST",
            "/api/v1/orders/",
            headers=[
                ("Authorization", f"Token {token}"),
                ("Content-Type", "application/json"),
                ("Idempotency-Key", str(uuid.uuid4())),
            ],
            body=body,
        )
        for token in add_tokens(url, add_buyers(url, ORDERS))
    ]
