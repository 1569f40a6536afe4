"""One client per transport, written from docs/websocket-api.md alone: nothing of Whimbrel's code is used.

All of them are told the same way what to do, and keep the same books: where they stand in each channel, by the one rule
for duplicates and gaps, and what was told of it.
"""

import itertools
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.edge.peers import Answer, Peer, Stream, Wire, commands, request, upgrade
from tests.support.waiting import within

Frame = dict[str, Any]
Position = dict[str, Any]
WAIT_S = 5.0  # of a long-poll: no test has to wait for the end of one


class Refused(Exception):
    """The client may not come in: ``code`` of the contract, ``status`` where HTTP said it."""

    def __init__(self, code: int, status: int | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.code = code
        self.status = status


class Books:
    """What a client knows. It survives the connection, and the transport."""

    def __init__(self) -> None:
        self.positions: dict[str, Position | None] = {}
        self.received: dict[str, list[Any]] = {}
        self.recovered: dict[str, bool] = {}  # of the last subscription to each channel that said so
        self.refused: dict[str, int] = {}
        self.cursor = ""  # the same positions as one text, where a transport by cursor was the last to move them
        self.duplicates = 0
        self.gaps = 0

    def take(self, frame: Frame) -> None:
        match frame["type"]:
            case "connected":
                for channel, subscription in frame["channels"].items():
                    self._subscribed(channel, subscription)
            case "subscribed":
                self._subscribed(frame["channel"], frame)
            case "unsubscribed":
                self.positions.pop(frame["channel"], None)
            case "publication":
                self._apply(frame["channel"], frame)

    def _subscribed(self, channel: str, subscription: Frame) -> None:
        if "error" in subscription:
            self.refused[channel] = subscription["error"]["code"]
            self.positions.pop(channel, None)
            return
        known = "epoch" in subscription
        self.positions[channel] = {key: subscription[key] for key in ("epoch", "offset")} if known else None
        if "recovered" in subscription:
            self.recovered[channel] = subscription["recovered"]
        for publication in subscription.get("publications", ()):
            self._apply(channel, publication)

    def _apply(self, channel: str, publication: Frame) -> None:
        position = self.positions.get(channel)
        if position is not None and "offset" in publication:
            if publication["offset"] <= position["offset"]:
                self.duplicates += 1
                return
            if publication["prev"] > position["offset"]:
                self.gaps += 1
                return
            position["offset"] = publication["offset"]
        self.received.setdefault(channel, []).append(publication["data"])


class Client(ABC):
    """A client of one edge at a time."""

    NAME: ClassVar[str]
    STREAMS: ClassVar[bool]  # whether it is told things while it waits, the end included

    def __init__(self, books: Books | None = None) -> None:
        self.books = books or Books()
        self.token = ""
        self.port = 0
        self._frames: list[Frame] = []

    @abstractmethod
    async def open(self, port: int, token: str, *channels: str, **headers: str) -> None:
        """Come in and go on from where the books stand, in ``channels`` besides. Raises Refused."""

    @abstractmethod
    async def _receive(self) -> list[Frame]:
        """Return what comes next; empty where it was nothing."""

    @abstractmethod
    async def go_back_to(self, channel: str, position: Position) -> None:
        """Ask for a channel again from ``position``, as who found a gap does."""

    @abstractmethod
    async def close(self) -> None: ...

    async def command(self, type_: str, **fields: Any) -> Frame:
        """Send a request and return its reply."""
        answer = await self._ask(commands(self.token, {"type": type_, "id": 1, **fields}))
        [reply] = answer.json["frames"]
        return dict(reply)

    async def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        """Return the first frame for which ``wanted`` holds; each is booked."""
        while True:
            while self._frames:
                frame = self._frames.pop(0)
                if wanted(frame):
                    return frame
            self._frames = await self._receive()
            for frame in self._frames:
                self.books.take(frame)

    async def until_received(self, channel: str, count: int) -> list[Any]:
        """Return all data of ``channel`` once it is ``count``."""
        while len(self.books.received.get(channel, ())) < count:
            await self.until(lambda frame: frame["type"] in ("publication", "connected", "subscribed"))
        return self.books.received[channel]

    async def _ask(self, raw: bytes) -> Answer:
        wire = await Wire.open(self.port)
        wire.send(raw)
        answer = await wire.answer()
        await wire.close()
        return answer


class WebSocketClient(Client):
    NAME = "websocket"
    STREAMS = True
    _peer: Peer

    async def open(self, port: int, token: str, *channels: str, **headers: str) -> None:
        self.port, self.token, self.books.cursor = port, token, ""
        wire = await Wire.open(port)
        wire.send(upgrade(**headers))
        answer = await wire.answer()
        if answer.status != 101:
            await wire.close()
            raise Refused(answer.json["code"], answer.status)
        self._peer = Peer(wire)
        self._ids = itertools.count(2)
        asked = dict.fromkeys(channels) | self.books.positions
        self._peer.say({"type": "connect", "id": 1, "token": token, "channels": asked})
        first = await self._peer.hear()
        if first["type"] == "disconnect":
            assert await self._peer.close_code() == first["code"]
            await wire.close()
            raise Refused(first["code"])
        assert first["type"] == "connected", first
        self._frames = []
        self.books.take(first)

    async def _receive(self) -> list[Frame]:
        return [await self._peer.hear()]

    async def command(self, type_: str, **fields: Any) -> Frame:
        number = next(self._ids)
        self._peer.say({"type": type_, "id": number, **fields})
        return await self.until(lambda frame: frame.get("id") == number)

    async def go_back_to(self, channel: str, position: Position) -> None:
        self.books.positions[channel] = position
        await self.command("subscribe", channel=channel, position=position)

    async def close(self) -> None:
        await self._peer.close()


class StreamClient(Client):
    NAME = "sse"
    STREAMS = True
    _stream: Stream

    async def open(self, port: int, token: str, *channels: str, **headers: str) -> None:
        self.port, self.token = port, token
        self._stream = await Stream.open(port, self._asked(channels, headers))
        self.books.cursor = ""
        if self._stream.head.status != 200:
            await self._stream.wire.close()
            raise Refused(self._stream.head.json["code"], self._stream.head.status)
        first = await self._stream.hear()
        assert first["type"] == "connected", first
        self._frames = []
        self.books.take(first)

    def _asked(self, channels: tuple[str, ...], headers: dict[str, str]) -> bytes:
        asked = dict.fromkeys(channels) | self.books.positions
        body = json.dumps({"type": "connect", "id": 1, "token": self.token, "channels": asked}).encode()
        return request("POST", "/v1/sse", body, **headers)

    async def _receive(self) -> list[Frame]:
        return [await self._stream.hear()]

    async def go_back_to(self, channel: str, position: Position) -> None:
        before = self._stream
        self.books.positions[channel] = position
        await self.open(self.port, self.token)
        await before.wire.close()

    async def close(self) -> None:
        await self._stream.wire.close()


class EventSourceClient(StreamClient):
    """Goes on by a cursor, where the books have one; else it says by POST where it stands."""

    NAME = "eventsource"

    async def open(self, port: int, token: str, *channels: str, **headers: str) -> None:
        await super().open(port, token, *channels, **headers)
        self.books.cursor = self._stream.cursor

    def _asked(self, channels: tuple[str, ...], headers: dict[str, str]) -> bytes:
        if self.books.positions and not self.books.cursor:
            return super()._asked(channels, headers)
        names = dict.fromkeys((*channels, *(name for name in self.books.positions if ":" in name)))
        query = urlencode([("channel", name) for name in names if not name.startswith("group:")])
        more = {"last_event_id": self.books.cursor} if self.books.cursor else {}
        return request("GET", f"/v1/sse?{query}", authorization=f"Bearer {self.token}", **more, **headers)

    async def _receive(self) -> list[Frame]:
        frames = await super()._receive()
        self.books.cursor = self._stream.cursor
        return frames

    async def go_back_to(self, channel: str, position: Position) -> None:
        self.books.cursor = ""
        await super().go_back_to(channel, position)


class PollClient(Client):
    NAME = "poll"
    STREAMS = False
    _wire: Wire

    async def open(self, port: int, token: str, *channels: str, **headers: str) -> None:
        self.port, self.token = port, token
        self._wire = await Wire.open(port)
        self._headers = headers
        self._asked = dict.fromkeys(channels) | self.books.positions
        self.books.cursor = ""
        for frame in await self._poll(wait=0):
            self.books.take(frame)

    async def _receive(self) -> list[Frame]:
        return await self._poll(wait=WAIT_S)

    async def _poll(self, wait: float) -> list[Frame]:
        body = json.dumps({"channels": self._asked, "wait": wait}).encode()
        self._wire.send(
            request("POST", "/v1/poll", body, authorization=f"Bearer {self.token}", **self._headers),
        )
        answer = await within(self._wire.answer(), WAIT_S + 5)
        if answer.status != 200:
            await self._wire.close()
            raise Refused(answer.json["code"], answer.status)
        self._asked = answer.json["channels"]
        if answer.headers.get("connection") == "close":
            await self._wire.close()
            self._wire = await Wire.open(self.port)
        return list(answer.json["frames"])

    async def go_back_to(self, channel: str, position: Position) -> None:
        self.books.positions[channel] = position
        self._asked = {**self._asked, channel: dict(position)}

    async def close(self) -> None:
        await self._wire.close()


class IntervalClient(PollClient):
    """Polls with GET and the ETag of the answer before, as a browser's cache does by itself; where there is none yet,
    its first poll says in a body where it stands.
    """

    NAME = "interval"
    INTERVAL_S = 0.5  # waited on the edge, so that no test sleeps

    async def open(self, port: int, token: str, *channels: str, **headers: str) -> None:
        self._names = dict.fromkeys((*channels, *(name for name in self.books.positions if name[:6] != "group:")))
        if self.books.positions and not self.books.cursor:
            await super().open(port, token, *channels, **headers)
            return
        self.port, self.token, self._headers = port, token, headers
        self._wire = await Wire.open(port)
        for frame in await self._poll(wait=0):
            self.books.take(frame)

    async def _poll(self, wait: float) -> list[Frame]:
        if self.books.positions and not self.books.cursor:
            return await super()._poll(wait)
        query = urlencode([*(("channel", name) for name in self._names), ("wait", min(wait, self.INTERVAL_S))])
        more = {"if_none_match": self.books.cursor} if self.books.cursor else {}
        bearer = f"Bearer {self.token}"
        self._wire.send(request("GET", f"/v1/poll?{query}", authorization=bearer, **more, **self._headers))
        answer = await self._wire.answer()
        if answer.status not in (200, 304):
            await self._wire.close()
            raise Refused(answer.json["code"], answer.status)
        self.books.cursor = answer.headers["etag"].strip('"')
        if answer.headers.get("connection") == "close":
            await self._wire.close()
            self._wire = await Wire.open(self.port)
        return [] if answer.status == 304 else list(answer.json["frames"])

    async def go_back_to(self, channel: str, position: Position) -> None:
        self.books.cursor = ""
        self._asked: dict[str, Position | None] = dict(self.books.positions)
        await super().go_back_to(channel, position)


CLIENTS: tuple[type[Client], ...] = (WebSocketClient, StreamClient, EventSourceClient, PollClient, IntervalClient)
