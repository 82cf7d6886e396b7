"""The web server: one process, one thread per connection.

Production servers hide the socket, and several faults need it: an answer that drips, breaks off, or never
comes. So a small server based on the standard library runs the Flask application;
`environ["simulator.delivery"]` lets a view decide how its answer's bytes are sent. One process also means
that the notification engine runs exactly once.
"""

import contextlib
import io
import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from wsgiref.types import StartResponse, WSGIApplication

# Called with the answer's bytes, a function that sends bytes, and an event that is set when the server stops.
Delivery = Callable[[bytes, Callable[[bytes], object], threading.Event], None]

DELIVERY = "simulator.delivery"
# Seconds between the answer being ready and being sent.
DELAY = "simulator.delay"
# A client that sends nothing must not keep its thread for ever.
IDLE_TIMEOUT_S = 30
MAX_BODY = 1_000_000

logger = logging.getLogger(__name__)


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    # Load tests open many connections at once; the default backlog of 5 would refuse some.
    request_queue_size = 512

    def __init__(self, host: str, port: int, application: WSGIApplication) -> None:
        self.application = application
        self.stopping = threading.Event()
        # Idle keep-alive connections.
        self.idle: set[socket.socket] = set()
        super().__init__((host, port), Handler)

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.server_address[:2]
        return str(host), int(port)

    def stop(self) -> None:
        """Returns once no new connection is accepted. Hanging and dripping answers are cut off, and idle
        connections closed.
        """
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self.idle):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        # Clients may hang up. Anything else is a bug and gets a traceback.
        if not isinstance(error, ConnectionError | TimeoutError):
            logger.error("request from %s failed", client_address, exc_info=error)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_TIMEOUT_S
    server: Server

    def handle_one_request(self) -> None:
        self.close_connection = True
        self.raw_requestline = self._wait_for_request()
        if not self.raw_requestline or not self.parse_request():
            return
        keeps, self.close_connection = not self.close_connection, True  # an error below ends the connection
        length = self.headers.get("Content-Length") or "0"
        if not (length.isascii() and length.isdigit()):
            self.send_error(400)
            return
        if int(length) > MAX_BODY:
            self.send_error(413)
            return
        environ = self._environ(self.rfile.read(int(length)))
        answer = _run(self.server.application, environ, is_head=self.command == "HEAD", keeps=keeps)
        delivery: Delivery | None = environ.get(DELIVERY)
        if delivery is None:
            self.server.stopping.wait(environ.get(DELAY, 0))
            self.wfile.write(answer)
            self.close_connection = not keeps or self.server.stopping.is_set()
        else:
            # The connection closes afterwards, so a fault is unambiguous to the client.
            delivery(answer, self.connection.sendall, self.server.stopping)

    def _wait_for_request(self) -> bytes:
        self.server.idle.add(self.connection)
        try:
            return b"" if self.server.stopping.is_set() else self.rfile.readline(65_537)
        except TimeoutError:
            return b""
        finally:
            self.server.idle.discard(self.connection)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the base class names it so
        logger.debug(format, *args)

    def _environ(self, body: bytes) -> dict[str, Any]:
        parts = urlsplit(self.path)
        host, port = self.server.address
        environ = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"),
            "QUERY_STRING": parts.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": host,
            "SERVER_PORT": str(port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            if name.lower() not in {"content-type", "content-length"}:
                environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
        return environ


def _run(application: WSGIApplication, environ: dict[str, Any], *, is_head: bool, keeps: bool) -> bytes:
    """The whole answer: status line, headers, body."""
    head: list[Any] = []

    def start_response(
        status: str,
        headers: list[tuple[str, str]],
        exc_info: tuple[type[BaseException], BaseException, TracebackType]
        | tuple[None, None, None]
        | None = None,
    ) -> Callable[[bytes], object]:
        head[:] = [status, headers]
        return lambda _data: None

    responder: StartResponse = start_response
    chunks: Iterable[bytes] = application(environ, responder)
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    status, headers = head
    lines = [
        f"HTTP/1.1 {status}",
        *(f"{name}: {value}" for name, value in headers),
        *([] if keeps else ["Connection: close"]),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1") + (b"" if is_head else body)
