"""An address that leads to one server and later to another, like DNS, a virtual address or a proxy in a
failover.
"""

import asyncio
import contextlib
import threading

from project.local.ports import LOOPBACK, find_free_port


class Forwarder(threading.Thread):
    """New connections go to `target_port`; existing ones stay where they are.

    `forget` drops existing connections silently, like a firewall that has lost its state: neither side hears
    from the other again.
    """

    def __init__(self, target_port: int) -> None:
        super().__init__(name="forwarder", daemon=True)
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
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, LOOPBACK, self.port))
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
