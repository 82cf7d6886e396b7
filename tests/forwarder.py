"""An address that leads to one server and later to another, like DNS, a virtual address or a proxy in a
failover; with a certificate, a proxy that ends TLS.
"""

import asyncio
import contextlib
import ssl
import threading

from project.local.ports import LOOPBACK, find_free_port
from project.local.tls import Certificate


class Forwarder(threading.Thread):
    """New connections go to `target_port`; existing ones stay where they are.

    With a certificate it accepts TLS, for clients that may negotiate `protocol`, and passes plain text on.

    `forget` drops existing connections silently, like a firewall that has lost its state: neither side hears
    from the other again.
    """

    def __init__(
        self, target_port: int, *, certificate: Certificate | None = None, protocol: str = ""
    ) -> None:
        super().__init__(name="forwarder", daemon=True)
        self._tls = None if certificate is None else _server_context(certificate, protocol)
        self.target_port = target_port
        self._generation = 0
        self.port = find_free_port()
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    def __enter__(self) -> "Forwarder":
        self.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._generation = -1
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join(5)

    def forget(self) -> None:
        self._generation += 1

    def run(self) -> None:
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, LOOPBACK, self.port, ssl=self._tls)
        )
        self._up.set()
        self._loop.run_forever()
        for writer in self._writers:
            writer.transport.abort()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0.1))  # they end, and close what they hold
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, self.target_port)
        except OSError:
            writer.close()
            return
        both = {writer, inner_writer}
        self._writers |= both
        mine = self._generation
        await asyncio.gather(
            self._pass_on(reader, inner_writer, mine), self._pass_on(inner_reader, writer, mine)
        )
        self._writers -= both

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, generation: int
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                while 0 <= generation < self._generation:
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()
        writer.close()


def _server_context(certificate: Certificate, protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    if protocol:
        context.set_alpn_protocols([protocol])
    return context
