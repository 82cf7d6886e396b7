"""The command line of `bin/demo`.

Needs nothing but Python itself, so that `--help` and mistakes are answered before anything is installed.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Part → the port that it takes if nobody says otherwise and nobody else has it.
PORTS = {"web": 8000, "flower": 5555, "simulator": 8100, "postgres": 54320, "valkey": 63790, "store": 63791}
_OPTIONS = {"web": "--port"}
_WHAT = {
    "web": "the storefront",
    "flower": "Flower",
    "simulator": "Alipay's simulator",
    "postgres": "PostgreSQL",
    "valkey": "Valkey for queues",
    "store": "Valkey for carts",
}


@dataclass(frozen=True)
class Options:
    """`ports` holds those that were asked for, by part."""

    once: bool
    reset: bool
    logs: bool
    ports: dict[str, int]
    state: Path


def option_of(part: str) -> str:
    return _OPTIONS.get(part, f"--{part}-port")


def parse(argv: Sequence[str] | None = None) -> Options:
    """Leaves with a message and exit status 2 when the line makes no sense."""
    parser = argparse.ArgumentParser(
        prog="bin/demo",
        description="Sets up the shop on this machine, buys courses over HTTP, and serves until Ctrl-C.",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="stop after the purchase; exit status 0 only if the courses were delivered",
    )
    parser.add_argument(
        "--reset",
        action="store_true",
        help="first remove all that earlier runs have left in the state folder",
    )
    parser.add_argument(
        "--logs",
        action="store_true",
        help="show what the programs log; it is in files of the state folder anyway",
    )
    for part, default in PORTS.items():
        parser.add_argument(
            option_of(part),
            dest=part,
            type=_port,
            metavar="N",
            help=f"port of {_WHAT[part]} (default: {default}, or a free one when that is taken)",
        )
    parser.add_argument(
        "--state",
        type=Path,
        default=ROOT / ".local",
        metavar="FOLDER",
        help="where databases, keys, logs and logins are kept (default: .local)",
    )
    found = parser.parse_args(argv)
    ports = {part: getattr(found, part) for part in PORTS if getattr(found, part) is not None}
    if len(set(ports.values())) != len(ports):
        parser.error("two parts can't have the same port")
    return Options(
        once=found.once, reset=found.reset, logs=found.logs, ports=ports, state=found.state.resolve()
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 1 to 65535 is needed")
    return int(text)


if __name__ == "__main__":
    parse(sys.argv[1:])
