"""Loopback ports: choosing a free one, telling that one is taken, waiting until one answers.

A chosen port is reserved until this process ends. Its server starts seconds later, and granian would share
the port with another shop's that was given it meanwhile: both would then be sent each other's buyers.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from project.local.errors import LocalError

LOOPBACK = "127.0.0.1"


def find_free_port() -> int:
    """A port that nobody listens on right now, reserved against other shops of this machine.

    Another program may still take it.
    """
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        if _reserve(port):
            return port


def _reserve(port: int) -> bool:
    """Whether the port is this process's now: no other shop's process has reserved it."""
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _reservations() -> int:
    """A file with a byte for each port. A lock of a byte ends with its process, however that ends."""
    path = Path(tempfile.gettempdir()) / f"shop-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def is_port_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a server that has just stopped don't count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose_port(preferred: int) -> int:
    """The preferred port when it is free, else any free one; reserved."""
    return preferred if is_port_free(preferred) and _reserve(preferred) else find_free_port()


def assign_ports(
    preferred: Mapping[str, int], *, wanted: Mapping[str, int], option_of: Callable[[str], str]
) -> dict[str, int]:
    """A port for each part: the wanted one, else the preferred one if it is free, else any free one; no port
    twice.

    Raises: LocalError when a wanted port is taken, naming the option that chooses another.
    """
    ports = {part: require_port(port, option=option_of(part)) for part, port in wanted.items()}
    for part, port in preferred.items():
        if part in ports:
            continue
        chosen = choose_port(port)
        while chosen in ports.values():
            chosen = find_free_port()
        ports[part] = chosen
    return ports


def require_port(port: int, *, option: str) -> int:
    """The port that somebody asked for.

    Raises: LocalError when it is taken, naming the option that chooses another.
    """
    if not is_port_free(port):
        raise LocalError(
            f"Port {port} on {LOOPBACK} is taken by another program. Choose another one with {option} N."
        )
    return port


def is_listening(port: int) -> bool:
    """Whether a server accepts connections on this loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
