"""An edge in this process that does what a test tells it: it drops, repeats, forgets, refuses and keeps silent."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from tests.client.fake_stream import FakeStream, Json
from tests.client.fake_wire import EventSocket, HttpRequest, Socket, http_response, problem, read_request


@dataclass
class Connection:
    """One session over a WebSocket or a stream of events, and what it is subscribed to."""

    socket: Socket | EventSocket
    channels: set[str] = field(default_factory=set)
    frames: list[Json] = field(default_factory=list)
    up: bool = False


class FakeEdge:
    """``edge.url`` while it runs. Tests set attributes to change what it does, and read what arrived."""

    def __init__(self) -> None:
        self.streams: dict[str, FakeStream] = {"inbox": FakeStream()}
        self.read_marks: dict[str, int] = {}
        self.ephemeral: set[str] = {"typing:42"}
        self.refused: dict[str, tuple[int, str]] = {"secret:1": (103, "permission_denied")}
        self.granted: list[str] = []  # channels that it opens by itself
        self.tokens: Callable[[str], tuple[int, str] | None] = lambda token: None  # a refusal, or None
        self.upgrade: str = "accept"  # or "hang"
        self.polling: bytes | None = None  # an answer instead of polling
        self.transports: Json = {
            "transports": ["websocket", "sse", "poll"],
            "cohort": "all",
            "heartbeat": {"ping": 25, "pong": 10},
            "poll": {"interval": 0},
        }
        self.ping, self.pong, self.expires_in = 25.0, 10.0, 3600
        self.silent: set[str] = set()  # types of frames that it leaves unanswered
        self.connections: list[Connection] = []
        self.connects: list[Json] = []
        self.polls: list[Json] = []
        self.commands: list[Json] = []
        self.upgrades = 0
        self.requests = 0  # over HTTP
        self.published: dict[str, Json] = {}
        self._told: dict[str, list[Json]] = {}  # what ephemeral channels have for whoever polls
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def listen(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Be gone, as after kill −9."""
        assert self._server is not None
        self._server.close()
        self.drop()
        for task in list(self._tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def restart(self) -> None:
        await self.listen(int(self.url.rpartition(":")[2]))

    # --- what tests do

    def stream(self, channel: str) -> FakeStream:
        return self.streams.setdefault(channel, FakeStream())

    def publish(self, channel: str, data: Any, event: str = "order.changed") -> Json:
        """Store a publication and deliver it to whom it concerns."""
        if channel in self.ephemeral:
            publication = {"type": "publication", "event": event, "event_id": "x", "time": "t", "data": data}
            self._told.setdefault(channel, []).append(publication | {"channel": channel})
        else:
            publication = self.stream(channel).append(event, data)
        for connection in self.connections:
            if channel in connection.channels:
                connection.socket.send(publication | {"channel": channel})
        self._wake()
        return publication

    def drop(self) -> None:
        """Cut every WebSocket and every stream."""
        for connection in self.connections:
            connection.socket.drop()
        self.connections.clear()
        self._wake()

    def send(self, frame: Json) -> None:
        """Say something to everybody who is connected."""
        for connection in self.connections:
            connection.socket.send(frame)

    def close(self, code: int, slug: str, after_ms: int = 0) -> None:
        """Close every WebSocket and every stream as the contract says."""
        for connection in list(self.connections):
            farewell = {"code": code, "slug": slug, "reason": slug, "reconnect": code < 4500, "after_ms": after_ms}
            connection.socket.send({"type": "disconnect"} | farewell)
            connection.socket.close(code, slug)
        self.connections.clear()

    # --- connections

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await read_request(reader)) is not None:
                if request.path.endswith("/v1/ws"):
                    await self._websocket(request, reader, writer)
                    return
                if request.path.endswith("/v1/sse") and await self._events(request, reader, writer):
                    return
                writer.write(await self._http(request))
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _websocket(
        self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.upgrades += 1
        self._wake_watchers()
        if self.upgrade == "hang":
            await asyncio.Event().wait()
        socket = Socket(reader, writer)
        connection = Connection(socket)
        socket.accept(request)
        self.connections.append(connection)
        try:
            while (frames := await socket.messages()) is not None:
                for frame in frames:
                    connection.frames.append(frame)
                    if frame["type"] not in self.silent:
                        self._on(connection, frame)
                self._wake()
        finally:
            if connection in self.connections:
                self.connections.remove(connection)

    async def _events(self, request: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve a stream until it ends; False: the request is to be answered like any other."""
        if self.tokens(request.bearer) is not None:
            return False
        stream = EventSocket(reader, writer)
        connection = Connection(stream)
        stream.accept()
        self.connections.append(connection)
        self._connect(connection, _parse(request.body))
        self._wake()
        try:
            await stream.ended()
        finally:
            if connection in self.connections:
                self.connections.remove(connection)
        return True

    def _on(self, connection: Connection, frame: Json) -> None:
        if frame["type"] == "connect":
            self._connect(connection, frame)
            return
        for reply in self.replies(frame, connection):
            connection.socket.send(reply)

    def _connect(self, connection: Connection, frame: Json) -> None:
        self.connects.append(frame)
        refusal = self.tokens(frame["token"])
        if refusal is not None:
            self.close(*refusal)
            return
        channels = {name: self._open(name, position) for name, position in frame["channels"].items()}
        for name in ("inbox", *self.granted):
            channels.setdefault(name, self._open(name, None))
        connection.channels = {name for name, answer in channels.items() if "error" not in answer}
        connection.up = True
        connection.socket.send(
            {
                "type": "connected",
                "id": frame["id"],
                "session": f"s{len(self.connects)}",
                "user": "alice",
                "expires_in": self.expires_in,
                "ping": self.ping,
                "pong": self.pong,
                "limits": {"frame_bytes": 65536, "channels": 128, "publish_per_s": 100},
                "channels": channels,
                "resume": f"grant-{len(self.connects)}",
            }
        )

    def _open(self, channel: str, position: Json | None, last: int | None = None) -> Json:
        if channel in self.refused:
            code, slug = self.refused[channel]
            return {"error": {"code": code, "slug": slug, "message": slug}}
        if channel in self.ephemeral:
            return {"publications": []}
        stream = self.stream(channel)
        if channel == "inbox" and position is None and last is None:
            mark = self.read_marks.get("inbox", 0)
            return {"epoch": stream.epoch, "offset": mark, "publications": stream.after(mark)}
        return stream.subscription(position, last)

    def replies(self, frame: Json, connection: Connection | None) -> list[Json]:
        """Return the answers to one request."""
        bare = {"id": frame["id"]} if "id" in frame else {}
        channel = frame.get("channel", "")
        match frame["type"]:
            case "subscribe":
                assert connection is not None
                if channel in connection.channels:
                    return [bare | _error(104, "already_subscribed")]
                answer = self._open(channel, frame.get("position"), frame.get("last"))
                if "error" in answer:
                    error = answer["error"]
                    return [bare | _error(error["code"], error["slug"])]
                connection.channels.add(channel)
                return [bare | {"type": "subscribed", "channel": channel} | answer]
            case "unsubscribe":
                assert connection is not None
                connection.channels.discard(channel)
                return [bare | {"type": "ok"}]
            case "publish":
                if channel in self.refused:
                    return [bare | _error(*self.refused[channel])]
                if frame["key"] not in self.published:
                    self.published[frame["key"]] = self.publish(channel, frame["data"], frame["event"])
                offset = self.published[frame["key"]].get("offset")
                return [bare | {"type": "ok"} | ({} if offset is None else {"offset": offset})]
            case "ack":
                self.read_marks[channel] = max(frame["offset"], self.read_marks.get(channel, 0))
                return [bare | {"type": "ok", "offset": self.read_marks[channel]}]
            case "history":
                stream = self.stream(channel)
                found = [p for p in stream.after(frame.get("after") or 0) if p["offset"] < frame.get("before", 2**60)]
                page = found[: frame["limit"]] if "after" in frame else found[-frame["limit"] :]
                return [bare | {"type": "ok", "epoch": stream.epoch, "publications": page}]
            case "refresh":
                return [bare | {"type": "ok", "expires_in": self.expires_in}]
            case _:
                return []

    # --- HTTP

    async def _http(self, request: HttpRequest) -> bytes:
        self.requests += 1
        refusal = self.tokens(request.bearer)
        if refusal is not None:
            return problem(401, *refusal)
        if request.path.endswith("/v1/transports"):
            return http_response(200, self.transports)
        if self.polling is not None:
            return self.polling
        body = _parse(request.body)
        if request.path.endswith("/v1/commands"):
            self.commands += body["frames"]
            replies = [reply for frame in body["frames"] for reply in self.replies(frame, None)]
            return http_response(200, {"frames": replies})
        self.polls.append(body)
        self._wake_watchers()
        return http_response(200, await self._poll(body))

    async def _poll(self, body: Json) -> Json:
        deadline = asyncio.get_running_loop().time() + body["wait"]
        while True:
            self._changed.clear()
            frames, positions = self._frames_for(body)
            left = deadline - asyncio.get_running_loop().time()
            if frames or left <= 0:
                return {"frames": frames, "channels": positions}
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()

    def _frames_for(self, body: Json) -> tuple[list[Json], Json]:
        frames: list[Json] = []
        positions: Json = {}
        for channel, position in body["channels"].items():
            if channel in self.ephemeral:
                if position is None:
                    frames.append({"type": "subscribed", "channel": channel, "publications": []})
                else:
                    frames += self._told.pop(channel, [])
                positions[channel] = {"epoch": "ephemeral", "offset": 0}
                continue
            answer = self._open(channel, position)
            if "error" in answer:
                frames.append({"type": "subscribed", "channel": channel} | answer)
                continue
            publications = answer.pop("publications")[: body["limit"]]
            if position is None or answer.get("recovered") is False:
                frames.append({"type": "subscribed", "channel": channel} | answer)
            frames += [each | {"channel": channel} for each in publications]
            end = publications[-1]["offset"] if publications else answer["offset"]
            positions[channel] = {"epoch": answer["epoch"], "offset": end}
        return frames, positions

    # --- waiting

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait until something is so; every frame and request that arrives is a reason to look again."""
        async with asyncio.timeout(10):
            while not happened():
                self._seen = asyncio.Event()
                await self._seen.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._wake_watchers()

    def _wake_watchers(self) -> None:
        if hasattr(self, "_seen"):
            self._seen.set()


def _error(code: int, slug: str) -> Json:
    return {"type": "error", "code": code, "slug": slug, "message": slug, "temporary": code in (100, 108, 109)}


def _parse(body: bytes) -> Json:
    value: Json = json.loads(body)
    return value
