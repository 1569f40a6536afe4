"""The bytes of the fake edge: a tiny HTTP server, and WebSocket by the Sans-I/O protocol of ``websockets``."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol


@dataclass
class HttpRequest:
    """One request with its body; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    head: bytes

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """Return the next request of a connection; None where it ended."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    method, path, _ = first.split(" ")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return HttpRequest(method, path, headers, body, head)


def http_response(status: int, body: Any, headers: dict[str, str] | None = None) -> bytes:
    """Return a response with a JSON body; from status 400 on it is a problem."""
    payload = json.dumps(body).encode()
    kind = "application/json" if status < 400 else "application/problem+json"
    lines = [
        f"HTTP/1.1 {status} x",
        f"Content-Type: {kind}",
        f"Content-Length: {len(payload)}",
        *(f"{name}: {value}" for name, value in (headers or {}).items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


def problem(status: int, code: int, slug: str, **more: Any) -> bytes:
    """Return a problem response of the contract."""
    return http_response(status, {"title": slug, "status": status, "code": code, "slug": slug, "detail": slug} | more)


class Socket:
    """The server's end of one WebSocket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.largest_bytes = 0  # of the messages that came
        self._protocol = ServerProtocol(subprotocols=[Subprotocol("whimbrel.v1.json")])

    def accept(self, request: HttpRequest) -> None:
        self._protocol.receive_data(request.head)
        [upgrade] = self._protocol.events_received()
        assert isinstance(upgrade, Request)
        self._protocol.send_response(self._protocol.accept(upgrade))
        self._flush()

    @property
    def is_open(self) -> bool:
        return self._protocol.state is State.OPEN

    def send(self, frames: dict[str, Any] | list[dict[str, Any]]) -> None:
        if self.is_open:
            self._protocol.send_text(json.dumps(frames).encode())
            self._flush()

    def send_text(self, text: str) -> None:
        self._protocol.send_text(text.encode())
        self._flush()

    def close(self, code: int, reason: str = "") -> None:
        if self.is_open:
            self._protocol.send_close(code, reason)
            self._flush()

    def drop(self) -> None:
        """Cut the connection without a word."""
        self._writer.transport.abort()

    async def messages(self) -> list[dict[str, Any]] | None:
        """Return the frames of what arrived next; None where the connection ended."""
        while self.is_open:
            try:
                chunk = await self._reader.read(65536)
            except ConnectionError:
                chunk = b""
            if chunk:
                self._protocol.receive_data(chunk)
            else:
                self._protocol.receive_eof()
            self._flush()
            events = self._protocol.events_received()
            texts = [bytes(each.data) for each in events if isinstance(each, Frame) and each.opcode is Opcode.TEXT]
            if texts:
                self.largest_bytes = max(self.largest_bytes, *map(len, texts))
                values = [json.loads(text) for text in texts]
                return [frame for value in values for frame in (value if isinstance(value, list) else [value])]
        return None

    def _flush(self) -> None:
        for chunk in self._protocol.data_to_send():
            if chunk and not self._writer.is_closing():
                self._writer.write(chunk)


class EventSocket:
    """The server's end of one stream of events; what a WebSocket is told by a close frame it is told by the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def accept(self) -> None:
        self._writer.write(b"HTTP/1.1 200 x\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n:\n\n")

    def send(self, frames: dict[str, Any] | list[dict[str, Any]]) -> None:
        for frame in frames if isinstance(frames, list) else [frames]:
            self._writer.write(f"id: c\nevent: {frame['type']}\ndata: {json.dumps(frame)}\n\n".encode())

    def send_text(self, text: str) -> None:
        self._writer.write(f"data: {text}\n\n".encode())

    def beat(self) -> None:
        """The heartbeat: a comment."""
        self._writer.write(b":\n\n")

    def close(self, code: int, reason: str = "") -> None:
        self._writer.close()

    def drop(self) -> None:
        """Cut the connection without a word."""
        self._writer.transport.abort()

    async def ended(self) -> None:
        """Wait until the client is gone."""
        try:
            await self._reader.read()
        except ConnectionError:
            return
