"""One address for several edges: each connection goes to the next one that is ready, as behind a load balancer."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from whimbrel.cli.dev.child import answers
from whimbrel.cli.dev.ports import HOST

LOOK_S: Final = 0.25  # between two looks whether an edge is ready; one that is dead is found out by who is sent there
CHUNK_BYTES: Final = 64 * 1024


class Balancer:
    """``edges``: the port of each, and the URL that answers 200 while it takes clients."""

    def __init__(self, edges: Mapping[int, str]) -> None:
        self._edges = edges
        self._ready = set(edges)
        self._last = 0  # the edge that had its turn last
        self._links: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[None]:
        """Take connections at ``port`` until the end of the block; those that are left then are cut."""
        server = await asyncio.start_server(self._join, HOST, port)
        looking = [asyncio.create_task(self._look(each, url)) for each, url in self._edges.items()]
        try:
            yield
        finally:
            server.close()
            tasks = (*looking, *self._links)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, port: int, url: str) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            (self._ready.add if await answers(url) else self._ready.discard)(port)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            edge = await self._edge()
            if edge is not None:
                await _converse(reader, writer, *edge)
        except asyncio.CancelledError:
            pass  # by us, at the end
        finally:
            self._links.discard(task)
            writer.close()

    async def _edge(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Return a connection to the edge whose turn it is; None where none takes it."""
        ports = sorted(self._ready or self._edges, key=lambda port: (port <= self._last, port))
        for port in ports:
            with suppress(OSError):
                link = await asyncio.open_connection(HOST, port)
                self._last = port
                return link
        return None


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    edge_reader: asyncio.StreamReader,
    edge_writer: asyncio.StreamWriter,
) -> None:
    sending = asyncio.create_task(_pass_on(reader, edge_writer))
    try:
        await _pass_on(edge_reader, writer)
    finally:
        sending.cancel()
        edge_writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # one side is gone
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
