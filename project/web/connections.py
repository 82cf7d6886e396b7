"""Closes connections that keep the server waiting.

Granian has a deadline for a request's head, but none for its body, nor for a client that doesn't read the
response.

The kernel records when data was last sent on each connection. If a client has been sent nothing for
`CONNECTION_SILENCE_S`, its request is still incomplete or it isn't reading: every complete request is
answered sooner. The rule holds for all versions of HTTP, and for heads, bodies and responses alike, however
slowly they drip.
"""

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import structlog

from project.web.admission import Admission

log = structlog.get_logger(__name__)

# <linux/tcp.h>, struct tcp_info: tcpi_last_data_sent, in milliseconds, counted from the connection's start as
# long as nothing was sent.
_LAST_DATA_SENT = struct.Struct("@I")
_LAST_DATA_SENT_OFFSET = 44
_TICK_S = 1.0
_LOOK_EVERY_S = 5.0
STUCK_EXIT_STATUS = 70  # <sysexits.h>: EX_SOFTWARE


@dataclass(frozen=True)
class Limits:
    """The limits that the keeper enforces on a web process."""

    silence_s: float  # a connection that has been sent nothing for this long is closed
    # threads that may wait for bodies; if there are more, the connections that have been silent the longest
    # are closed
    readers: float
    stuck_s: float  # a request that runs for this long hangs, and the process is replaced


class ConnectionKeeper(threading.Thread):
    """Watches one web process: closes stalled connections, and ends the process if a request hangs."""

    def __init__(self, admission: Admission, limits: Limits) -> None:
        super().__init__(name="connection-keeper", daemon=True)
        self._admission = admission
        self._limits = limits

    def run(self) -> None:
        looked_at = time.monotonic()
        while True:
            time.sleep(_TICK_S)
            now = time.monotonic()
            if self._admission.longest_s(now) > self._limits.stuck_s:
                log.critical("web_process_hangs", longest_s=round(self._admission.longest_s(now)))
                os._exit(STUCK_EXIT_STATUS)  # its threads can't be ended; granian starts another process
            crowd = int(self._admission.reading() - self._limits.readers)
            # other kernels don't report this
            if sys.platform == "linux" and (crowd > 0 or now - looked_at >= _LOOK_EVERY_S):
                looked_at = now
                self._end_silent(crowd)

    def _end_silent(self, crowd: int) -> None:
        silent = sorted(inbound_silences(), reverse=True)
        overdue = [item for item in silent if item[0] > self._limits.silence_s]
        ended = silent[: max(len(overdue), crowd)]
        for _, peer, number in ended:
            _shut(number, peer)
        if ended:
            log.warning("slow_connections_ended", count=len(ended), longest_s=round(ended[0][0]))


Peer = tuple[str, int]


def inbound_silences() -> Iterator[tuple[float, Peer, int]]:
    """For each connection that this process has accepted: the seconds since data was last sent on it, its
    peer, and its file descriptor.
    """
    ports, accepted = set(), []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are numbers here, not paths
        connection = _open_copy(int(name))
        if connection is None:
            continue
        with closing(connection):
            try:
                if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    ports.add(connection.getsockname()[1])
                    continue
                local, peer = connection.getsockname(), connection.getpeername()
                info = connection.getsockopt(
                    socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_SENT_OFFSET + _LAST_DATA_SENT.size
                )
            except OSError:  # closed meanwhile, or not a TCP socket
                continue
            (silent_ms,) = _LAST_DATA_SENT.unpack_from(info, _LAST_DATA_SENT_OFFSET)
            accepted.append((local[1], silent_ms / 1000, peer[:2], int(name)))
    yield from ((silent_s, peer, number) for port, silent_s, peer, number in accepted if port in ports)


def _shut(number: int, peer: Peer) -> None:
    """Shuts down the connection behind a descriptor, unless the descriptor belongs to another one by now.

    The server then closes it.
    """
    connection = _open_copy(number)
    if connection is None:
        return
    with closing(connection):
        try:
            if connection.getpeername()[:2] == peer:
                connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _open_copy(number: int) -> socket.socket | None:
    """A duplicate of the TCP socket behind a descriptor: the original may be closed at any time.

    None if the descriptor isn't a TCP socket's.
    """
    copy = -1
    try:
        copy = os.dup(number)
        opened = socket.socket(fileno=copy)
    except OSError:
        if copy >= 0:
            os.close(copy)
        return None
    if opened.family in {socket.AF_INET, socket.AF_INET6} and opened.type == socket.SOCK_STREAM:
        return opened
    opened.close()
    return None
