"""The proxy: listens, judges each request, and is told by HTTP how the network is to be."""

import asyncio
import random
import ssl
from collections.abc import Callable
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel

from whimbrel.cli.chaos.head import END, MAX_HEAD_BYTES, Head, MalformedHead
from whimbrel.cli.chaos.link import Link, Passage
from whimbrel.cli.chaos.network import Network

CONTROL: Final = "/-/chaos"  # what is asked for below it is the proxy's own, in whatever state the network is
USAGE: Final = "GET /-/chaos tells how the network is, PUT /-/chaos sets it, POST /-/chaos/cut resets all connections"
GOOD: Final = Network()


class Condition(BaseModel):
    """What ``GET /-/chaos`` answers."""

    edge: str
    connections: int
    network: Network


class Refusal(BaseModel):
    """What the proxy itself answers to what does not go through."""

    error: str


class _Fine:
    """The network of the connections that ``share`` spares."""

    network = GOOD

    async def changed(self) -> None:
        await asyncio.Event().wait()


class ChaosProxy:
    """Passes connections on to an edge over a bad network. It listens within ``async with``."""

    def __init__(
        self,
        edge: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        network: Network = GOOD,
        seed: int | None = None,
        on_end: Callable[[Passage], None] = lambda passage: None,
    ) -> None:
        """``edge`` is a base URL; port 0 takes a free one; with ``seed``, ``share`` hits the same connections again;
        ``on_end`` is told of each connection when it is over.
        """
        parts = urlsplit(edge)
        self.edge = edge
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._far = (parts.hostname or "", parts.port or (443 if self._tls else 80))
        self._authority = parts.netloc.rpartition("@")[2]
        self._at = (host, port)
        self._network = network
        self._change = asyncio.Event()
        self._draw = random.Random(seed)
        self._on_end = on_end
        self._links: set[Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen.

        Raises OSError.
        """
        self._server = await asyncio.start_server(self._accept, *self._at, limit=MAX_HEAD_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for link in tuple(self._links):
            link.reset("cut")
        if self._serving:
            await asyncio.wait(self._serving)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The base URL for clients."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    @property
    def network(self) -> Network:
        """The conditions now; set them at any time."""
        return self._network

    @network.setter
    def network(self, network: Network) -> None:
        self._network = network
        self._change.set()
        self._change = asyncio.Event()

    async def changed(self) -> None:
        """Wait until the network is another."""
        await self._change.wait()

    @property
    def connections(self) -> int:
        """How many pass through now."""
        return sum(bool(link.passage.request) for link in self._links)

    def cut(self) -> None:
        """Reset every connection, as a proxy does that starts anew."""
        for link in tuple(self._links):
            if link.passage.request:
                link.reset("cut")

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # As a task of our own: asyncio complains of one of its own that a reset has cancelled.
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hit = self._draw.random() < self._network.share
        link = Link(self if hit else _Fine(), reader, writer)
        self._links.add(link)
        if self._server is None or not self._server.is_serving():
            link.reset("cut")  # it was accepted while the proxy left
        try:
            await self._judge(link, reader, writer, self._network if hit else GOOD)
        except (OSError, asyncio.IncompleteReadError):
            pass  # one of the ends went
        except asyncio.CancelledError:
            if not link.was_reset:
                raise
        finally:
            self._links.discard(link)
            link.close()
            if link.passage.request:
                self._on_end(link.passage)

    async def _judge(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, network: Network
    ) -> None:
        try:
            head = Head.parse(await reader.readuntil(END))
        except (asyncio.LimitOverrunError, MalformedHead) as error:
            writer.write(_response("400 Bad Request", Refusal(error=f"HTTP/1.1 is spoken here: {error}")))
            return
        if head.path.startswith(CONTROL):
            writer.write(await self._told(head, reader))
            return
        link.passage.request = f"{head.method} {head.path}"
        upgrade = network.upgrade if head.is_upgrade else "pass"
        if network.refusing:
            link.reset("refused")
        elif upgrade == "refuse":
            link.passage.verdict = "refused"
            writer.write(_response("403 Forbidden", Refusal(error="no WebSocket passes here")))
        elif upgrade == "hang":
            link.passage.verdict = "hung"
            await link.hang()
        else:
            try:
                far = await asyncio.open_connection(*self._far, ssl=self._tls)
            except OSError as error:
                link.passage.verdict = "unreachable"
                writer.write(_response("502 Bad Gateway", Refusal(error=f"no edge at {self.edge}: {error}")))
                return
            request = head.forwarded(self._authority, upgrade=head.is_upgrade and upgrade != "strip")
            held = network.buffering and not head.is_upgrade
            await link.carry(request, far, held=held, mute=upgrade == "mute")

    async def _told(self, head: Head, reader: asyncio.StreamReader) -> bytes:
        match head.method, head.path:
            case "GET", "/-/chaos":
                pass
            case "PUT", "/-/chaos":
                try:
                    length = int(head.field("content-length") or 0)
                    self.network = Network.model_validate_json(await reader.readexactly(min(length, MAX_HEAD_BYTES)))
                except ValueError as error:
                    return _response("400 Bad Request", Refusal(error=str(error)))
            case "POST", "/-/chaos/cut":
                self.cut()
            case _:
                return _response("404 Not Found", Refusal(error=USAGE))
        return _response("200 OK", Condition(edge=self.edge, connections=self.connections, network=self.network))


def _response(status: str, body: BaseModel) -> bytes:
    json = body.model_dump_json().encode()
    fields = ("Content-Type: application/json", f"Content-Length: {len(json)}", "Connection: close")
    return "\r\n".join((f"HTTP/1.1 {status}", *fields)).encode() + END + json
