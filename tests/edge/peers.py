"""Clients of an edge, byte by byte: nothing of the edge's code or of a WebSocket library is used."""

import asyncio
import itertools
import json
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tests.support.waiting import within

SUBPROTOCOL = "whimbrel.v1.json"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """One TCP connection to an edge."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None) -> "Wire":
        """Connect; ``receive_buffer`` bytes of the kernel make a client whose slowness is felt soon."""
        plain = socket.socket()
        plain.setblocking(False)
        if receive_buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await within(asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port)))
        secure = {} if tls is None else {"ssl": tls, "server_hostname": "localhost"}
        reader, writer = await asyncio.open_connection(sock=plain, limit=64 * 1024, **secure)  # type: ignore[arg-type]
        return cls(reader, writer)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        """Read one HTTP answer."""
        head = await within(self.reader.readuntil(b"\r\n\r\n"))
        status_line, *lines = head.decode("latin-1").strip().split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        size = int(headers.get("content-length", 0))
        body = await within(self.reader.readexactly(size)) if size else b""
        return Answer(int(status_line.split()[1]), headers, body)

    async def ended(self) -> bytes:
        """Return what comes until the edge closes or resets the connection."""
        rest = b""
        with suppress(ConnectionResetError):
            while part := await within(self.reader.read(65_536)):
                rest += part
        return rest

    def reset(self) -> None:
        """Vanish as a crashed client does: no close frame, no FIN."""
        plain = self.writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await within(self.writer.wait_closed())


def request(method: str, target: str, body: bytes = b"", /, **headers: str) -> bytes:
    """Return an HTTP request; ``if_none_match`` becomes If-None-Match."""
    lines = [f"{method} {target} HTTP/1.1", "Host: edge"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def poll(token: str, channels: dict[str, Any], *, wait: float = 0, **more: Any) -> bytes:
    """Return a long-poll."""
    body = json.dumps({"channels": channels, "wait": wait, **more}).encode()
    return request("POST", "/v1/poll", body, authorization=f"Bearer {token}")


def commands(token: str, *frames: dict[str, Any]) -> bytes:
    return request(
        "POST",
        "/v1/commands",
        json.dumps({"frames": frames}).encode(),
        authorization=f"Bearer {token}",
        content_type="application/json",
    )


def upgrade(**headers: str) -> bytes:
    every = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec_websocket_version": "13",
        "sec_websocket_key": KEY,
        "sec_websocket_protocol": SUBPROTOCOL,
        **headers,
    }
    # As browsers write it: the edge remembers such heads.
    return request("GET", "/v1/ws", **every).replace(b"\r\nsec-websocket-key: ", b"\r\nSec-WebSocket-Key: ")


def masked(payload: bytes, opcode: int = TEXT, *, fin: bool = True, mask: bytes = b"\x11\x22\x33\x44") -> bytes:
    """Return one frame as a client sends it (RFC 6455 §5.2)."""
    first = (0x80 if fin else 0) | opcode
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65_536:
        head = bytes((first, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def message(frame: object) -> bytes:
    return masked(json.dumps(frame).encode(), mask=b"\0\0\0\0")


class Peer:
    """One WebSocket. ``hear`` returns the frames one by one, whatever message brought them."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.control: list[tuple[int, bytes]] = []  # pings, pongs and the close frame
        self._frames: list[dict[str, Any]] = []
        self._ids = itertools.count(1)

    @classmethod
    async def open(
        cls, port: int, *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None, **headers: str
    ) -> "Peer":
        """Connect and shake hands."""
        wire = await Wire.open(port, receive_buffer=receive_buffer, tls=tls)
        wire.send(upgrade(**headers))
        answer = await wire.answer()
        assert answer.status == 101, answer
        assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert answer.headers["sec-websocket-protocol"] == SUBPROTOCOL
        return cls(wire)

    def say(self, frame: object) -> None:
        self.wire.send(message(frame))

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return its reply; what comes before it is dropped."""
        number = next(self._ids)
        self.say({"type": type_, "id": number, **fields})
        return await self.until(lambda frame: frame.get("id") == number)

    async def hear(self) -> dict[str, Any]:
        """Return the next frame."""
        while not self._frames:
            opcode, payload = await self.raw()
            if opcode == TEXT:
                found = json.loads(payload)
                self._frames = found if isinstance(found, list) else [found]
            else:
                self.control.append((opcode, payload))
                assert opcode != CLOSE, payload
        return self._frames.pop(0)

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first frame for which ``wanted`` holds."""
        while True:
            frame = await self.hear()
            if wanted(frame):
                return frame

    async def data(self, count: int) -> list[Any]:
        """Return the data of the next ``count`` publications."""
        found: list[Any] = []
        while len(found) < count:
            frame = await self.hear()
            if frame["type"] == "publication":
                found.append(frame["data"])
        return found

    async def raw(self) -> tuple[int, bytes]:
        """Return opcode and payload of the next WebSocket frame."""
        first, second = await within(self.wire.reader.readexactly(2))
        assert first & 0x70 == 0, "reserved bits"
        assert second & 0x80 == 0, "a server does not mask"
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await within(self.wire.reader.readexactly(2 if size == 126 else 8)), "big")
        return first & 0x0F, await within(self.wire.reader.readexactly(size))

    async def close_code(self) -> int:
        """Return the code with which the edge closes; frames before it are dropped."""
        while True:
            opcode, payload = await self.raw()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big")

    async def close(self) -> None:
        await self.wire.close()


class Stream:
    """One stream of Server-Sent Events, read as the standard says."""

    def __init__(self, wire: Wire, head: Answer) -> None:
        self.wire = wire
        self.head = head
        self.cursor = ""  # the last `id`
        self.retry: int | None = None
        self.comments = 0
        self._read = bytearray()

    @classmethod
    async def open(cls, port: int, asked: bytes, *, receive_buffer: int | None = None) -> "Stream":
        """Send a request; ``head`` is the whole answer where it is no stream."""
        wire = await Wire.open(port, receive_buffer=receive_buffer)
        wire.send(asked)
        return cls(wire, await wire.answer())

    async def hear(self) -> dict[str, Any]:
        """Return the frame of the next event."""
        while True:
            fields: dict[str, str] = {}
            while line := await self._line():
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            self.comments += "" in fields
            self.cursor = fields.get("id", self.cursor)
            self.retry = int(fields["retry"]) if "retry" in fields else self.retry
            if "data" in fields:
                frame: dict[str, Any] = json.loads(fields["data"])
                assert frame["type"] == fields["event"]
                return frame

    async def _line(self) -> str:
        while b"\n" not in self._read:
            part = await within(self.wire.reader.read(65_536))
            if not part:
                raise EOFError("the stream ended")
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    async def until(self, type_: str) -> dict[str, Any]:
        """Return the next frame of ``type_``; those before it are dropped."""
        while (frame := await self.hear())["type"] != type_:
            pass
        return frame

    async def data(self, count: int) -> list[Any]:
        """Return the data of the next ``count`` publications."""
        return [(await self.until("publication"))["data"] for _ in range(count)]


def post_stream(bearer: str | None, **fields: Any) -> bytes:
    """Return the request that opens a stream by a `connect` frame."""
    headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    return request("POST", "/v1/sse", json.dumps({"type": "connect", "id": 1, **fields}).encode(), **headers)


def get_stream(token: str | None, *channels: str, **headers: str) -> bytes:
    """Return the request of an EventSource; ``last_event_id`` becomes Last-Event-ID."""
    more = headers if token is None else {"authorization": f"Bearer {token}", **headers}
    return request("GET", "/v1/sse?" + "&".join(f"channel={name}" for name in channels), **more)
