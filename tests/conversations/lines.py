"""The edge's end of a client's connection, over each transport: frames come in and go out as a script says.

A poll is no connection, but a script talks over it as if it were: the client's first poll is its `connect`, a channel
that a later one asks for is a `subscribe`, and what the edge says waits for the next poll.
"""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from tests.client.fake_wire import EventSocket, HttpRequest, Socket, http_response, problem
from tests.conversations.commands import Commands, Json, settle
from whimbrel.protocol.codes import may_reconnect
from whimbrel.protocol.limits import MAX_FRAME_BYTES

INBOX: Final[Json] = {"epoch": "inbox-1", "offset": 0, "publications": []}  # nobody wrote to the user
CUT: Final = b""  # in place of an answer: the connection breaks


class Gone:
    """In a line's ``heard``: the client hung up."""


class Line(Protocol):
    """``heard`` is what the client said and no step has looked at yet."""

    name: str
    heard: deque[Json | Gone]

    def accept(self) -> None: ...
    def welcome(self, frame: Json) -> None: ...
    def send(self, frames: Sequence[Json]) -> None: ...
    def reply(self, frame: Json) -> None: ...
    def say(self, text: str) -> None: ...
    def beat(self) -> None: ...
    def close(self, farewell: Json | None, code: int) -> None: ...
    def cut(self) -> None: ...
    def mute(self) -> None: ...

    @property
    def wait_s(self) -> float | None: ...

    def passed(self, seconds: float) -> None: ...


class _Held:
    """A line that stays open by itself."""

    wait_s: None = None  # until the edge has to answer though there is nothing to say

    def passed(self, seconds: float) -> None:
        """Nothing is due."""

    def mute(self) -> None:
        """Say nothing more; nothing is said by itself anyway."""


class WebSocketLine(_Held):
    """Over a WebSocket."""

    def __init__(self, name: str, socket: Socket, request: HttpRequest) -> None:
        self.name = name
        self.heard: deque[Json | Gone] = deque()
        self._socket = socket
        self._request = request
        self._ended = False  # by this side

    def accept(self) -> None:
        self._socket.accept(self._request)

    async def listen(self, happened: asyncio.Event) -> None:
        """Hear the client until it is gone."""
        while (frames := await self._socket.messages()) is not None:
            self.heard.extend(frames)
            if self._socket.largest_bytes > MAX_FRAME_BYTES:
                self.heard.append({"type": "a message over the limit", "bytes": self._socket.largest_bytes})
            happened.set()
        if not self._ended:
            self.heard.append(Gone())
        happened.set()

    def welcome(self, frame: Json) -> None:
        self._socket.send(frame)

    def send(self, frames: Sequence[Json]) -> None:
        self._socket.send(frames[0] if len(frames) == 1 else list(frames))

    def reply(self, frame: Json) -> None:
        self._socket.send(frame)

    def say(self, text: str) -> None:
        self._socket.send_text(text)

    def beat(self) -> None:
        self._socket.send({"type": "ping"})

    def close(self, farewell: Json | None, code: int) -> None:
        self._ended = True
        if farewell is not None:
            self._socket.send(farewell)
        self._socket.close(code)

    def cut(self) -> None:
        self._ended = True
        self._socket.drop()


class StreamLine(_Held):
    """Over a stream of events downwards, and commands upwards."""

    def __init__(self, name: str, stream: EventSocket, request: HttpRequest) -> None:
        self.name = name
        self.heard: deque[Json | Gone] = deque([_introduced(request)])
        self.commands = Commands()
        self._stream = stream
        self._ended = False  # by this side

    def accept(self) -> None:
        self._stream.accept()

    async def listen(self, happened: asyncio.Event) -> None:
        """Wait until the client is gone."""
        await self._stream.ended()
        if not self._ended:
            self.heard.append(Gone())
        happened.set()

    def welcome(self, frame: Json) -> None:
        self._stream.send(frame)

    def send(self, frames: Sequence[Json]) -> None:
        self._stream.send(list(frames))

    def reply(self, frame: Json) -> None:
        if not self.commands.reply(frame):
            self._stream.send(frame)

    def say(self, text: str) -> None:
        self._stream.send_text(text)

    def beat(self) -> None:
        self._stream.beat()

    def close(self, farewell: Json | None, code: int) -> None:
        del code  # which the end of a stream does not tell
        self._ended = True
        if farewell is not None:
            self._stream.send(farewell)
        self.commands.end(CUT)
        self._stream.close(0)

    def cut(self) -> None:
        self._ended = True
        self.commands.end(CUT)
        self._stream.drop()


class PollLine:
    """Over one poll after the other. ``over``: one was answered with the end, and the next is a first one again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: deque[Json | Gone] = deque()
        self.commands = Commands()
        self.over = False
        self._asked: Json = {}  # channels of the poll that came last
        self._positions: Json = {}
        self._out: list[Json] = []
        self._welcomed = False
        self._owed = False  # a step has answered what the client asked for, though maybe with nothing
        self._waiting: tuple[Json, asyncio.Future[bytes]] | None = None
        self._waited_s = 0.0
        self._muted = False
        self._end: bytes | None = None

    def accept(self) -> None:
        """The answer is the welcome."""

    def poll(self, request: HttpRequest) -> asyncio.Future[bytes]:
        """Return the answer that there will be."""
        body = json.loads(request.body)
        channels = body["channels"]
        if self._waiting is None and not self._welcomed and not self.heard:
            self.heard.append(_introduced(request) | {"type": "connect", "channels": channels})
        elif self._welcomed:
            self._note_changes(channels)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self._muted:
            self.over = True
            return answer
        self._asked, self._waiting, self._waited_s = channels, (body, answer), 0.0
        self._flush()
        return answer

    def welcome(self, frame: Json) -> None:
        for channel, subscription in frame["channels"].items():
            self._open(channel, subscription)
        self._welcomed = self._owed = True
        self._flush()

    def send(self, frames: Sequence[Json]) -> None:
        for frame in frames:
            if frame["type"] == "subscribed":
                self._open(frame["channel"], {name: value for name, value in frame.items() if name != "channel"})
            elif frame["type"] in ("publication", "position"):
                self._advance(frame["channel"], frame.get("offset"))
                if frame["type"] == "publication":
                    self._out.append(frame)
            else:
                self._out.append(frame)
        self._owed = True
        self._flush()

    def reply(self, frame: Json) -> None:
        if not self.commands.reply(frame):
            self.send([frame])

    def say(self, text: str) -> None:
        head = f"HTTP/1.1 200 x\r\nContent-Type: application/json\r\nContent-Length: {len(text.encode())}\r\n\r\n"
        self._end_by(head.encode() + text.encode())

    def beat(self) -> None:
        self._owed = True
        self._flush()

    def close(self, farewell: Json | None, code: int) -> None:
        farewell = farewell or {"slug": "closed", "after_ms": 0}
        status = 503 if may_reconnect(code) else 403
        self._end_by(problem(status, code, farewell["slug"], retry_after_ms=farewell["after_ms"]))

    def cut(self) -> None:
        self._end_by(CUT)

    def mute(self) -> None:
        """Leave the poll that waits, or the next one, without any answer."""
        self._muted, self.over, self._waiting = True, self._waiting is not None, None

    @property
    def wait_s(self) -> float | None:
        return None if self._waiting is None else max(0.0, self._waiting[0]["wait"] - self._waited_s)

    def passed(self, seconds: float) -> None:
        """Answer with nothing once a poll has waited for as long as it wanted."""
        self._waited_s += seconds
        if self.wait_s == 0:
            self._owed = True
            self._flush()

    # --- within

    def _end_by(self, answer: bytes) -> None:
        self.commands.end(answer)
        self._end = answer
        self._flush()

    def _note_changes(self, channels: Json) -> None:
        for name in channels.keys() - self._asked.keys():
            position = channels[name]
            self.heard.append({"type": "subscribe", "channel": name} | ({"position": position} if position else {}))
        for name in self._asked.keys() - channels.keys():
            self.heard.append({"type": "unsubscribe", "channel": name})
            self._positions.pop(name, None)

    def _open(self, channel: str, subscription: Json) -> None:
        asked_at = self._asked.get(channel)
        bare = {name: value for name, value in subscription.items() if name not in ("publications", "id")}
        if asked_at is None or "error" in bare or bare.get("recovered") is False:
            self._out.append({"type": "subscribed", "channel": channel} | bare)
        if "error" in bare:
            return
        position = {"epoch": "ephemeral", "offset": 0} if "epoch" not in bare else None
        self._positions[channel] = position or {"epoch": bare["epoch"], "offset": bare["offset"]}
        for each in subscription.get("publications", ()):
            self.send([each | {"type": "publication", "channel": channel}])

    def _advance(self, channel: str, offset: int | None) -> None:
        if offset is not None:
            at = self._positions.get(channel) or self._asked.get(channel) or {"epoch": "e1"}
            self._positions[channel] = at | {"offset": offset}

    def _flush(self) -> None:
        """Answer the poll that waits, if there is something to say or it does not want to wait."""
        if self._waiting is not None and self._end is not None:
            self.over = True
            self._answer(self._end)
        if self._waiting is None or not self._welcomed:
            return
        body, _ = self._waiting
        settled = body["channels"].keys() <= self._positions.keys() | {
            each["channel"] for each in self._out if each["type"] == "subscribed"
        }
        if self._out or self._owed or (body["wait"] == 0 and settled):
            frames, self._out, self._owed = self._out, [], False
            positions = {name: self._positions.get(name, at) for name, at in body["channels"].items()}
            closed = {each["channel"] for each in frames if each["type"] == "unsubscribed" or "error" in each}
            for name in closed:
                positions.pop(name, None)
                self._asked.pop(name, None)  # it is not the client that leaves it
            self._answer(http_response(200, {"frames": frames, "channels": positions}))

    def _answer(self, answer: bytes) -> None:
        if self._waiting is not None:
            settle(self._waiting[1], answer)
            self._waiting = None


def _introduced(request: HttpRequest) -> Json:
    """Return a `connect`, with the token that its request bears where the frame has none."""
    body: Json = json.loads(request.body)
    return ({"token": request.bearer} if request.bearer else {}) | body
