"""A front: one port that leads to one of several servers, as a load balancer or a name with several addresses does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Front:
    """Passes connections on to the server that it leads to now; those that lead elsewhere are cut."""

    def __init__(self) -> None:
        self.port = 0
        self._to = 0
        self._open: set[asyncio.Task[None]] = set()

    def lead_to(self, port: int) -> None:
        """Lead to another server from now on."""
        self._to = port
        for task in list(self._open):
            task.cancel()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on to its end."""
        task = asyncio.current_task()
        assert task
        self._open.add(task)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._to)
            try:
                await asyncio.gather(_pump(reader, back), _pump(there, writer))
            finally:
                back.close()
        except (OSError, asyncio.CancelledError):
            return
        finally:
            self._open.discard(task)
            writer.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
        await target.drain()
    target.close()


@asynccontextmanager
async def front(port: int, to: int) -> AsyncIterator[Front]:
    """Serve a port that leads to another."""
    made = Front()
    made.port = port
    made.lead_to(to)
    server = await asyncio.start_server(made.serve, "127.0.0.1", port)
    try:
        yield made
    finally:
        server.close()
        made.lead_to(0)
        await server.wait_closed()
