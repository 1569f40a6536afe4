"""One connection through the proxy: a request and its response, or a WebSocket."""

import asyncio
import contextlib
import math
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from whimbrel.cli.chaos.head import END
from whimbrel.cli.chaos.network import Network

CHUNK_BYTES: Final = 64 * 1024
IN_FLIGHT: Final = (
    64  # chunks that are being delayed; then the sender has to wait, as where a network's buffers are full
)
HELD_BYTES: Final = 16 * 1024 * 1024  # of one response; then a proxy that buffers lets it through

Far = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing discards what was not sent, and sends RST


class Conditions(Protocol):
    """What a link is told of the network."""

    @property
    def network(self) -> Network:
        """The conditions now."""
        ...

    async def changed(self) -> None:
        """Wait until they are others."""


@dataclass(slots=True)
class Passage:
    """What became of a link, for whoever reads along."""

    request: str = ""
    status: str = ""
    verdict: str = "done"
    """Or ``refused`` or ``hung`` (its request), ``unreachable`` (the edge), ``cut``, ``old`` or ``idle``."""
    up_bytes: int = 0
    down_bytes: int = 0
    age_ms: int = 0


class Link:
    """Passes bytes on between a client and the edge until one of them, or the network, ends it."""

    def __init__(self, conditions: Conditions, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.passage = Passage()
        self.was_reset = False
        self._conditions = conditions
        self._client = (reader, writer)
        self._ends: list[asyncio.StreamWriter] = [writer]
        self._muted = False  # for good, as silence of the network is for a while
        self._task = asyncio.current_task()
        self._began = self._passed_at = asyncio.get_running_loop().time()

    def reset(self, verdict: str) -> None:
        """End it at once; both ends get a reset, and the task that carries it is cancelled."""
        self.passage.verdict = verdict
        self.was_reset = True
        for writer in self._ends:
            handle: socket.socket | None = writer.get_extra_info("socket")
            if handle is not None and handle.fileno() >= 0:
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        assert self._task is not None
        self._task.cancel()

    async def hang(self) -> None:
        """Never answer, until the client leaves."""
        async with self._watched():
            while await self._client[0].read(CHUNK_BYTES):
                pass

    async def carry(self, request: bytes, far: Far, *, held: bool, mute: bool) -> None:
        """Send ``request`` to the ``far`` end, and pass on what follows until one end has no more to say.

        ``held``: all of the response at once. ``mute``: the head of the response, and then nothing.
        """
        reader, writer = far
        self._ends.append(writer)
        async with self._watched():
            await asyncio.sleep(self._conditions.network.delay_ms / 1000)
            await self._passing()
            writer.write(request)
            if mute:
                self._down(await reader.readuntil(END))
                self._muted = True
            up = asyncio.create_task(self._pass(self._client[0], writer, self._up))
            try:
                await self._pass(reader, self._client[1], self._down, held=held)
            finally:
                up.cancel()

    def close(self) -> None:
        """Let go of both sockets."""
        self.passage.age_ms = round((asyncio.get_running_loop().time() - self._began) * 1000)
        for writer in self._ends:
            writer.close()

    def _up(self, data: bytes) -> None:
        self.passage.up_bytes += len(data)
        self._ends[1].write(data)

    def _down(self, data: bytes) -> None:
        if not self.passage.status:
            self.passage.status = data[:12].decode("latin-1").partition(" ")[2]
        self.passage.down_bytes += len(data)
        self._client[1].write(data)

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        write: Callable[[bytes], None],
        *,
        held: bool = False,
    ) -> None:
        """Pass on what one side sends, and that it sends no more."""
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)

        async def take() -> None:
            while True:
                try:
                    data = await reader.read(CHUNK_BYTES)
                except OSError:
                    data = b""  # a reset reaches the other side as an end, and not through silence
                await chunks.put((loop.time() + self._conditions.network.delay_ms / 1000, data))
                if not data:
                    return

        taking = asyncio.create_task(take())
        waiting, data = bytearray(), b"-"
        try:
            while data:
                due, data = await chunks.get()
                await asyncio.sleep(due - loop.time())
                await self._passing()
                waiting += data
                if not held or not data or len(waiting) > HELD_BYTES:
                    write(bytes(waiting))
                    waiting.clear()
                    await writer.drain()
                self._passed_at = loop.time()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            pass  # nobody is there to be told
        finally:
            taking.cancel()

    async def _passing(self) -> None:
        while self._muted or self._conditions.network.silent:
            await self._conditions.changed()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            network = self._conditions.network
            at, verdict = min(
                (self._began + network.lifetime_ms / 1000 if network.lifetime_ms else math.inf, "old"),
                (self._passed_at + network.idle_ms / 1000 if network.idle_ms else math.inf, "idle"),
            )
            if loop.time() >= at:
                self.reset(verdict)
                return
            try:
                async with asyncio.timeout_at(None if at == math.inf else at):
                    await self._conditions.changed()
            except TimeoutError:
                continue
