"""The shop's side: receives notifications, records them, and gives configured answers."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from alipay import AliPay


@dataclass(frozen=True)
class Received:
    headers: dict[str, str]
    body: bytes

    def fields(self, charset: str = "utf-8") -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("ascii"), keep_blank_values=True, encoding=charset))


@dataclass
class Shop:
    """`answers` are used up one by one, then `answer` for ever: (status, body, extra headers)."""

    answer: tuple[int, bytes] = (200, b"success")
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    received: list[Received] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/notify"

    def wait_for(self, count: int, timeout_s: float = 5.0) -> list[Received]:
        """The notifications received so far, once there are `count` of them."""
        with self.arrived:
            has_come = self.arrived.wait_for(lambda: len(self.received) >= count, timeout_s)
        assert has_come, f"{len(self.received)} of {count} notifications came within {timeout_s} s"
        return self.received

    def start(self) -> Callable[[], None]:
        """Serves from a thread; returns a function that stops it."""
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                threading.Event().wait(shop.delay_s)
                with shop.arrived:
                    status, text = shop.answers.pop(0) if shop.answers else shop.answer
                    shop.received.append(Received(dict(self.headers), body))
                    shop.arrived.notify_all()
                self.send_response(status)
                for name, value in shop.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_args: object) -> None:
                """A simulator that gave up waiting has closed the connection: nothing to report."""

        server = Server(("127.0.0.1", 0), Handler)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()

        def stop() -> None:
            server.shutdown()
            server.server_close()

        return stop


class GatewayAliPay(AliPay):
    """The SDK, pointed at a simulator."""

    def __init__(self, keys: dict[str, str], gateway: str, app_id: str) -> None:
        super().__init__(app_id, None, keys["app_private"], keys["alipay_public"], "RSA2")
        self._gateway = gateway

    def is_genuine(self, fields: dict[str, str]) -> bool:
        rest = {name: value for name, value in fields.items() if name != "sign"}
        return bool(self.verify(rest, fields["sign"]))
