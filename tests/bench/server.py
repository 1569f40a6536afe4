"""A server of the tests, which says to the clients of load.c what a test wants."""

import asyncio
from contextlib import AsyncExitStack

from bench.publications import datum
from tests.support.waiting import Collected

GREETING = b'{"type":"connected"}'
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


def framed(text: bytes) -> bytes:
    """Return a text frame of a server."""
    size = len(text).to_bytes(1, "big") if len(text) < 126 else b"\x7e" + len(text).to_bytes(2, "big")
    return b"\x81" + size + text


def published(*numbers: int, series: int = 0, prefix: bytes = b"[") -> bytes:
    """Return one frame with publications of these numbers, sent long ago."""
    return framed(
        b"%b%b]" % (prefix, b",".join(b'{"type":"publication","data":%b}' % datum(series, each, 1) for each in numbers))
    )


class Server:
    """Answers the upgrade and the first frame (where the client is not silent), then writes what a test says."""

    def __init__(self, greeting: bytes = framed(GREETING), *, silent: bool = False, answer: bytes = UPGRADED) -> None:
        self.heard: Collected[bytes] = Collected()
        self.requests: list[bytes] = []
        self.greeting = greeting
        self.silent = silent
        self.answer = answer
        self.clients: list[asyncio.StreamWriter] = []

    async def start(self, ending: AsyncExitStack) -> int:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        ending.callback(server.close)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0])
        writer.write(self.answer)
        if not self.silent:
            self.heard.append(await reader.read(65536))
        writer.write(self.greeting)
        self.clients.append(writer)
        while heard := await reader.read(65536):
            self.heard.append(heard)
        writer.close()
