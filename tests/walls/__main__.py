"""`bin/attack`: every kind of slow client against a running demo, and how long honest buyers wait meanwhile.

LIMIT_ORDER_REQUESTS=100000/60 MAX_OPEN_ORDERS=100000 bin/demo
                              in one terminal; with the usual limits the honest buyer's many orders are
                              refused
bin/attack                    in another: a table for the server itself and for each proxy that is
                              installed
bin/attack --minutes 10       all kinds at once for ten minutes, with the memory of every process and of
                              Valkey
"""

import argparse
import contextlib
import json
import shutil
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import redis

from project.local.state import ROOT
from tests.walls.attacks import ATTACKS, HANDSHAKES, Attack, Crowd, crowd_apart
from tests.walls.latency import Honest, Latencies, honest
from tests.walls.proxies import NAMES, client_context, run_proxy

ATTACKER = "127.0.0.2"
# Between the honest buyer's rounds of four requests: nginx lets an address send a hundred per second.
PACE_S = 0.04
KINDS: dict[str, tuple[Attack, int]] = {
    **{kind: (attack, 500) for kind, attack in ATTACKS.items()},
    "no bytes at all": (Attack(), 1200),
    "handshakes": (HANDSHAKES, 100),
}


@dataclass(frozen=True)
class Target:
    """The target: the server itself, or a proxy in front of it."""

    name: str
    url: str

    @property
    def address(self) -> tuple[str, int]:
        found = urlsplit(self.url)
        return "127.0.0.1", int(found.port or 0)

    def wrap(self, connection: socket.socket) -> socket.socket:
        if not self.url.startswith("https:"):
            return connection
        context: ssl.SSLContext = client_context()
        return context.wrap_socket(connection, server_hostname="localhost")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="bin/attack", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--demo", type=Path, default=ROOT / ".local" / "demo.json", help="where bin/demo has described itself"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="N",
        help="all kinds at once for so long, instead of one after the other",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=KINDS,
        metavar="KIND",
        help=f"this kind only, may be repeated: {', '.join(KINDS)}",
    )
    parser.add_argument(
        "--at", action="append", choices=["direct", *NAMES], help="this target only, may be repeated"
    )
    parser.add_argument(
        "--attackers-nice",
        type=int,
        default=19,
        metavar="N",
        help="priority of the attacking process (default: 19, what is left)",
    )
    parser.add_argument(
        "--rounds", type=int, default=30, help="honest requests of each kind per attack (default: 30)"
    )
    options = parser.parse_args(argv)
    demo: dict[str, Any] = json.loads(options.demo.read_text())
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        direct = Target("direct", demo["urls"]["storefront"].rstrip("/"))
        if options.minutes:
            return endure(direct, demo, options.minutes, nice=options.attackers_nice)
        kinds, wanted = options.only or list(KINDS), options.at or ["direct", *NAMES]
        for target in (
            direct,
            *proxies(stack, direct, Path(folder), [name for name in NAMES if name in wanted]),
        ):
            if target.name in wanted:
                show_attacks(target, demo, kinds, rounds=options.rounds, nice=options.attackers_nice)
    return 0


def proxies(
    stack: contextlib.ExitStack, direct: Target, folder: Path, names: Sequence[str]
) -> Iterator[Target]:
    for name in names:
        if shutil.which(name, path="/usr/bin:/usr/local/bin:/usr/sbin") is None:
            print(f"{name} is not installed, so nothing is measured behind it.")
            continue
        found = stack.enter_context(
            run_proxy(name, upstream=urlsplit(direct.url).netloc, folder=folder / name)
        )
        yield Target(name, found.url)


def show_attacks(
    target: Target, demo: dict[str, Any], kinds: Sequence[str], *, rounds: int, nice: int
) -> None:
    """Prints p50 / p99 in milliseconds without an attack and during each."""
    with buyer_of(target, demo) as buyer:
        buyer.measure(rounds=5)
        show_line(target.name, "quiet", buyer.measure(rounds=2 * rounds, pause_s=PACE_S))
        for kind in kinds:
            attack, size = KINDS[kind]
            with crowd_apart(
                Crowd(target.address, attack, size, wrap=target.wrap, source=ATTACKER), nice=nice
            ) as progress:
                time.sleep(1)
                found = buyer.measure(rounds=rounds, pause_s=PACE_S)
                show_line(target.name, kind, found, f"{progress.per_s():.0f} opened/s")
            show_line(target.name, "quiet", buyer.measure(rounds=rounds // 2, pause_s=PACE_S))


def show_line(target: str, kind: str, found: Sequence[Latencies], *notes: str) -> None:
    cells = [
        f"{item.name} {item.at(0.5):.0f} / "
        f"{item.at(0.99):.0f}{f' ({item.failed} failed)' if item.failed else ''}"
        for item in found
    ]
    print(f"{target:7} | {kind:20} | {' | '.join([*cells, *notes])}", flush=True)


def endure(target: Target, demo: dict[str, Any], minutes: float, *, nice: int) -> int:
    """Runs all kinds at once and prints a line per minute."""
    ends_at = time.monotonic() + 60 * minutes
    with contextlib.ExitStack() as stack:
        buyer = stack.enter_context(buyer_of(target, demo))
        show_line(target.name, "quiet", buyer.measure(rounds=30))
        show_memory(demo)
        crowds = [
            Crowd(target.address, attack, size // 10, wrap=target.wrap, source=ATTACKER)
            for attack, size in KINDS.values()
        ]
        stack.enter_context(crowd_apart(*crowds, nice=nice))
        while time.monotonic() < ends_at:
            minute_ends_at = min(time.monotonic() + 60, ends_at)
            found: list[Latencies] = []
            while time.monotonic() < minute_ends_at:
                found = join(found, buyer.measure(rounds=5, pause_s=0.2))
            show_line(target.name, f"{(ends_at - time.monotonic()) / 60:.0f} min to go", found)
            show_memory(demo)
    return 0


def join(first: Sequence[Latencies], second: Sequence[Latencies]) -> list[Latencies]:
    if not first:
        return list(second)
    return [Latencies(a.name, a.ms + b.ms, a.failed + b.failed) for a, b in zip(first, second, strict=True)]


def show_memory(demo: dict[str, Any]) -> None:
    """Prints each program's resident megabytes, with its children, threads and descriptors, and Valkey's
    memory.
    """
    cells = []
    for name, pid in demo["pids"].items():
        if name == "demo":
            continue
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        cells.append(f"{name} {sum(process.memory_info().rss for process in processes) / 2**20:.0f}")
    with redis.Redis.from_url(demo["redis_url"]) as client:
        cells.append(f"stored in Valkey {client.info('memory')['used_memory'] / 2**20:.1f}")
    print(f"        MB: {', '.join(cells)}", flush=True)


@contextlib.contextmanager
def buyer_of(target: Target, demo: dict[str, Any]) -> Iterator[Honest]:
    login = demo["logins"]["buyers"][0]
    with honest(target.url, username=login["username"], password=login["password"], verify=False) as found:
        yield found


if __name__ == "__main__":
    sys.exit(main())
