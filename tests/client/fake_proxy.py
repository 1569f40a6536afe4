"""A proxy of a company as its programs find it in the environment: it tunnels, and passes requests on."""

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class FakeProxy:
    """``address`` while it runs; ``asked`` are the first lines of what came, without their HTTP version."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.address = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._serve(reader, writer)
        finally:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, version = head.split(b"\r\n")[0].decode().split(" ")
        self.asked.append(f"{method} {target}")
        tunnels = method == "CONNECT"
        to = urlsplit(f"//{target}" if tunnels else target)
        there, back = await asyncio.open_connection(to.hostname, to.port)
        if tunnels:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:  # one request per connection will do
            rest = head.partition(b"\r\n")[2].replace(b"Connection: keep-alive", b"Connection: close")
            back.write(f"{method} {to.path} {version}\r\n".encode() + rest)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_relay(reader, back))
                group.create_task(_relay(there, writer))
        finally:
            back.transport.abort()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()
