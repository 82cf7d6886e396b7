"""Closes connections that keep the server waiting.

Granian has a deadline for a request's head and none for its body or for the answer's reader.

The kernel knows for each connection when data was last sent on it. A client that was sent nothing for
`CONNECTION_SILENCE_S` is one whose request is not complete after that time, or who doesn't read; every answer
of the shop is due earlier. That holds for HTTP of any version and for heads, bodies and answers alike, at any
pace of dripping.
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
    """What the keeper holds a web process to."""

    silence_s: float  # a connection that was sent nothing for so long is ended
    # threads that may wait for bodies; past that the connections that were silent the longest are ended
    readers: float
    stuck_s: float  # a request that is worked on for so long hangs, and the process is replaced


class ConnectionKeeper(threading.Thread):
    """Watches one web process: closes what stalls, and ends the process when it can't answer any more."""

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
            # elsewhere the kernel isn't asked like this
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
    """For each connection that this process has accepted: seconds since data was sent on it, the peer, the
    descriptor's number.
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
            except OSError:  # ended meanwhile, or no TCP
                continue
            (silent_ms,) = _LAST_DATA_SENT.unpack_from(info, _LAST_DATA_SENT_OFFSET)
            accepted.append((local[1], silent_ms / 1000, peer[:2], int(name)))
    yield from ((silent_s, peer, number) for port, silent_s, peer, number in accepted if port in ports)


def _shut(number: int, peer: Peer) -> None:
    """Ends the connection behind a descriptor, unless the number belongs to another one by now.

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
    """The TCP socket behind a descriptor, as a descriptor of its own: the original may be closed at any time.

    None when it is something else.
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
