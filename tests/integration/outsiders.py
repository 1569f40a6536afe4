"""Those who use Whimbrel from outside, written from the contract alone: nothing of its code is imported here."""

import asyncio
import itertools
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import nats
import websockets
from nats.aio.client import Client as Nats

from tests.support.dev import Development

SUBPROTOCOL: Final = "whimbrel.v1.json"
PATIENCE_S: Final = 30.0


class DomainTeam:
    """Publishes events and waits for each acknowledgement, again and again if need be."""

    def __init__(self, connection: Nats) -> None:
        self._connection = connection
        self._run = uuid.uuid4().hex[:8]
        self._numbers = itertools.count(1)

    @classmethod
    async def connect(cls, development: Development) -> "DomainTeam":
        async def quiet(_: Exception) -> None: ...

        return cls(
            await nats.connect(
                development.nats,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.1,
                error_cb=quiet,
            )
        )

    async def publish(
        self, order: str, data: Any, *, headers: dict[str, str] | None = None, raw: bytes | None = None, **audience: str
    ) -> str:
        """Publish one event until it is acknowledged; return its id."""
        event_id = f"{self._run}-{next(self._numbers)}"
        every = {
            "ce-id": event_id,
            "ce-source": "shop",
            "ce-type": "order.changed",
            "Nats-Msg-Id": f"shop/{event_id}",
            **{f"whimbrel-{name}": value for name, value in audience.items()},
            **(headers or {}),
        }
        payload = json.dumps(data).encode() if raw is None else raw
        while True:
            try:
                reply = await self._connection.request(f"events.shop.order.{order}", payload, headers=every, timeout=2)
                if "error" not in json.loads(reply.data):  # e.g. the first copy of it is still being stored
                    return event_id
            except (nats.errors.Error, TimeoutError):
                pass
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        await self._connection.close()


class Follower:
    """A client's positions, and the rule (docs/websocket-api.md) by which it applies publications."""

    def __init__(self) -> None:
        self.positions: dict[str, dict[str, Any] | None] = {}
        self.received: dict[str, list[Any]] = {}
        self.duplicates = 0
        self.gaps = 0
        self.resets: list[str] = []

    def subscribed(self, channel: str, subscription: dict[str, Any]) -> None:
        if "error" in subscription:
            raise AssertionError(f"{channel} refused: {subscription['error']}")
        if subscription.get("recovered") is False:
            self.resets.append(channel)
        if "epoch" in subscription:
            self.positions[channel] = {"epoch": subscription["epoch"], "offset": subscription["offset"]}
        for publication in subscription.get("publications", ()):
            self.apply(channel, publication)

    def apply(self, channel: str, publication: dict[str, Any]) -> bool:
        """Take a publication; False for a gap."""
        position = self.positions.get(channel)
        if position is not None and "offset" in publication:
            if publication["offset"] <= position["offset"]:
                self.duplicates += 1
                return True
            if publication["prev"] > position["offset"]:
                self.gaps += 1
                return False
            position["offset"] = publication["offset"]
        self.received.setdefault(channel, []).append(publication["data"])
        return True

    def take(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "connected":
                for channel, subscription in frame["channels"].items():
                    self.subscribed(channel, subscription)
            case "subscribed":
                self.subscribed(frame["channel"], frame)
            case "position":
                position = self.positions[frame["channel"]]
                assert position is not None
                assert frame["prev"] <= position["offset"], f"a gap on a live connection: {frame}"
                position["offset"] = frame["offset"]
            case "publication":
                assert self.apply(frame["channel"], frame), f"a gap on a live connection: {frame}"


class Socket:
    """One WebSocket that speaks the contract. Frames that nobody waits for are applied to ``follower``."""

    def __init__(self, socket: websockets.ClientConnection, follower: Follower) -> None:
        self.socket = socket
        self.follower = follower
        self._ids = itertools.count(1)
        self._frames: list[dict[str, Any]] = []

    async def send(self, frame: object) -> None:
        await self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def next(self) -> dict[str, Any]:
        """Return the next frame, applied already."""
        if not self._frames:
            message = json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))
            self._frames = message if isinstance(message, list) else [message]
        frame = self._frames.pop(0)
        if frame["type"] == "ping":
            await self.send({"type": "pong"})
        self.follower.take(frame)
        return frame

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the first frame for which ``wanted`` holds."""
        while True:
            frame = await self.next()
            if wanted(frame):
                return frame

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """Send a request and return its reply."""
        number = next(self._ids)
        await self.send({"type": type_, "id": number, **fields})
        return await self.until(lambda frame: frame.get("id") == number)

    async def until_received(self, channel: str, count: int) -> None:
        """Read until ``count`` publications of ``channel`` were applied."""
        while len(self.follower.received.get(channel, ())) < count:
            await self.next()

    async def close_code(self) -> int:
        """Read until the edge closes; return the code of its `disconnect` frame, which the close must bear too."""
        disconnect = await self.until(lambda frame: frame["type"] == "disconnect")
        await asyncio.wait_for(self.socket.wait_closed(), PATIENCE_S)
        assert self.socket.close_code == disconnect["code"]
        return int(disconnect["code"])


@asynccontextmanager
async def a_socket(development: Development, follower: Follower | None = None, **headers: str) -> AsyncIterator[Socket]:
    """Open a WebSocket without connecting the session."""
    url = development.edge.replace("http", "ws", 1) + "/v1/ws"
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    async with websockets.connect(
        url, subprotocols=[websockets.Subprotocol(SUBPROTOCOL)], additional_headers=more, max_size=None, proxy=None
    ) as socket:
        yield Socket(socket, follower or Follower())


@asynccontextmanager
async def a_session(
    development: Development, token: str, *channels: str, follower: Follower | None = None
) -> AsyncIterator[Socket]:
    """Open a WebSocket and connect, from the follower's positions where it has any."""
    async with a_socket(development, follower) as socket:
        asked = {name: socket.follower.positions.get(name) for name in (*channels, *socket.follower.positions)}
        connected = await socket.ask("connect", token=token, channels=asked)
        assert connected["type"] == "connected", connected
        yield socket


class Poller:
    """A client that polls."""

    def __init__(self, development: Development, token: str, follower: Follower | None = None) -> None:
        self._development = development
        self.follower = follower or Follower()
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.AsyncClient(headers=headers, timeout=PATIENCE_S, trust_env=False)

    async def poll(self, *channels: str, wait: float = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Poll once from the follower's positions; return the frames, applied already."""
        asked = {name: self.follower.positions.get(name) for name in (*channels, *self.follower.positions)}
        body = {"channels": asked, "wait": wait, "limit": limit}
        answer = await self.http.post(f"{self._development.edge}/v1/poll", json=body)
        assert answer.status_code == 200, answer.text
        reply = answer.json()
        for frame in reply["frames"]:
            self.follower.take(frame)
        for channel, position in reply["channels"].items():
            applied = self.follower.positions.get(channel)
            assert applied is None or applied == position, "the positions are those of who applied the frames"
            self.follower.positions[channel] = position
        frames: list[dict[str, Any]] = reply["frames"]
        return frames

    async def until_received(self, channel: str, count: int) -> None:
        while len(self.follower.received.get(channel, ())) < count:
            await self.poll(channel, wait=10)

    async def close(self) -> None:
        await self.http.aclose()
