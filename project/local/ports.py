"""Loopback ports: choosing a free one, telling that one is taken, waiting until one answers."""

import socket
from collections.abc import Callable, Mapping

from project.local.errors import LocalError

LOOPBACK = "127.0.0.1"


def find_free_port() -> int:
    """A port that nobody listens on right now. Somebody may take it before the caller does: the caller must be ready to try again."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


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
    """The preferred port when it is free, else any free one."""
    return preferred if is_port_free(preferred) else find_free_port()


def assign_ports(preferred: Mapping[str, int], *, wanted: Mapping[str, int], option_of: Callable[[str], str]) -> dict[str, int]:
    """A port for each part: the wanted one, else the preferred one if it is free, else any free one; no port twice.

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
        raise LocalError(f"Port {port} on {LOOPBACK} is taken by another program. Choose another one with {option} N.")
    return port


def is_listening(port: int) -> bool:
    """Whether a server accepts connections on this loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
