"""One stream of Server-Sent Events: the session's effects out as events, for networks that let no WebSocket through.

The client says everything with the request that opens the stream; nothing is heard of it afterwards. Whether it is
still there the kernel tells: what is written, a heartbeat at least, must be acknowledged. The answer begins with
`connected`, so that whoever may not come in gets the HTTP status that says so, and it ends with its connection: no
chunks have to be framed.
"""

import asyncio
import random
import socket
import struct
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import ClassVar, Final

from pydantic import ValidationError

from whimbrel.edge.core.effects import Effect, Identified, Wanted
from whimbrel.edge.core.events import HEARTBEAT, Batch, StreamCursor, events
from whimbrel.edge.core.hub import LiveChannel
from whimbrel.edge.core.session import PING
from whimbrel.edge.core.subscription import Joined, Opened
from whimbrel.edge.shell.connection import Connection
from whimbrel.edge.shell.httpwire import Refusal, Request, problem, stream_head
from whimbrel.edge.shell.pod import Pod, wall
from whimbrel.edge.shell.refusals import bad_request, refusal_of_close
from whimbrel.protocol.bodies import Transport
from whimbrel.protocol.channels import Channel
from whimbrel.protocol.codes import CloseCode, ErrorCode
from whimbrel.protocol.errors import FrameTooLarge, MalformedFrame, MalformedPosition, Refused
from whimbrel.protocol.frames import Connect, decode
from whimbrel.protocol.limits import MAX_FRAME_BYTES
from whimbrel.protocol.positions import Cursor, Position, cursor_part, decode_cursor

RETRY_MS: Final = (500, 3000)  # drawn per stream: plain EventSources do not back off, but need not come back together
_TCP_INFO: Final = struct.Struct("@8x13I")  # the first fields of Linux' `struct tcp_info` …
_UNACKED: Final = 4  # … segments under way
_LAST_ACK_RECEIVED: Final = 12  # … milliseconds ago
_JIFFIES_MS: Final = 10  # that is the most by which the kernel's clock is coarse
_NO_CURSOR: Final = Cursor("", {})
_HEADERS: Final = {
    "content-type": "text/event-stream",
    "cache-control": "no-store, no-transform",  # a proxy that compresses holds events back
    "x-accel-buffering": "no",  # so does nginx, unless told
}


def read_connect(request: Request) -> tuple[Connect, Cursor]:
    """Return the `connect` frame of a request for a stream, and where it goes on from.

    A POST carries the frame; a GET names channels in `channel` (repeatable) and may carry the cursor in `cursor` as
    well as in Last-Event-ID: a page cannot set the header. Raises Refusal (400, 413).
    """
    parameters = request.parameters() if request.method == "GET" else []
    text = next((value for name, value in parameters if name == "cursor"), None) or request.header("last-event-id")
    try:
        cursor = decode_cursor(text) if text else _NO_CURSOR
        if request.method == "POST":
            return _only_connect(request.body), cursor
        named = {value: None for name, value in parameters if name == "channel"}
        return Connect.model_validate({"type": "connect", "id": 1, "channels": named}), cursor
    except ValidationError as error:
        raise bad_request(error) from None
    except FrameTooLarge as error:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ErrorCode.TOO_LARGE, str(error)) from None
    except (MalformedFrame, MalformedPosition) as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, ErrorCode.BAD_REQUEST, str(error)) from None


def _only_connect(body: bytes) -> Connect:
    match decode(body, limit=MAX_FRAME_BYTES):
        case [Connect() as connect]:
            return connect
        case [Refused() as refused]:
            raise Refusal(HTTPStatus.BAD_REQUEST, refused.code, refused.message)
        case _:
            raise MalformedFrame("the body is one `connect` frame; other frames go to POST /v1/commands")


class EventStream(Connection):
    """The server's side of one stream, from the moment it is known who asks."""

    __slots__ = ("_cors", "_cursor", "_outgoing")

    CARRIER: ClassVar[Transport] = "sse"
    EOF_IS_GOODBYE: ClassVar[bool] = True

    def __init__(self, pod: Pod, transport: asyncio.Transport, presented: Identified, cors: Mapping[str, str]) -> None:
        self._cors: Mapping[str, str] | None = cors  # until the answer has begun
        self._cursor = StreamCursor(presented.identity.user)
        self._outgoing: list[bytes] = []
        super().__init__(pod, transport, presented)
        terms = pod.settings
        _give_up_after(transport, terms.stuck_s + terms.pong_s)  # longer than a slow reader is given before 4002

    def begin(self, connect: Connect) -> None:
        """Open what the request asks for."""
        self._perform(self.session.begin(connect, wall=wall()))

    def data_received(self, data: bytes) -> None:
        """Drop what follows the request: the stream has its connection for itself."""

    # Events out

    def deliver(self, batch: Batch) -> None:
        """Write what a channel brought."""
        data = self._cursor.deliver(batch)
        self.pod.counters.bytes_out += len(data)
        self.transport.write(data)

    def _perform(self, effects: Sequence[Effect]) -> None:
        super()._perform(effects)
        self._flush()

    def _send(self, message: bytes) -> None:
        if message is PING:  # nobody can answer it but the client's kernel
            self.transport.write(HEARTBEAT)
        elif isinstance(message, Joined):
            self._outgoing += message.frames
        else:
            self._outgoing.append(message)

    def tick(self, *, now: float) -> None:
        """Do what time asks for; a heartbeat is answered by the kernel that acknowledges it."""
        session = self.session
        if session.pinged and _hears(self.transport, within_s=now - session.pinged):
            session.acknowledged()
        super().tick(now=now)

    def _flush(self) -> None:
        """Write what one step of the session says. Its last event bears the cursor: who has not read up to there comes
        back to where it was, and is given the rest again.
        """
        if not self._outgoing:
            return
        frames, self._outgoing = self._outgoing, []
        data = events(frames, self._cursor.text())
        if self._cors is not None:
            head = stream_head({**_HEADERS, **self._cors})
            data = b"%bretry: %d\n\n%b" % (head, random.randint(*RETRY_MS), data)
            self._cors = None
        self.pod.counters.bytes_out += len(data)
        self.transport.write(data)

    def _say_end(self, code: CloseCode) -> None:
        if self._cors is None:
            self._flush()
        else:
            self._outgoing.clear()
            self.pod.counters.refused[code.slug] += 1
            self.transport.write(problem(refusal_of_close(code), self._cors, keep_alive=False))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    # Channels

    def _join(self, live: LiveChannel) -> bool:
        return live.follow(self, self.deliver)

    def _attach(self, wanted: Wanted, live: LiveChannel, result: Opened) -> None:
        super()._attach(wanted, live, result)
        if result.durable:
            end = Position(epoch=result.epoch, offset=result.end)
            self._cursor.move(live.name, cursor_part(wanted.name, end))

    def _detach(self, channel: Channel) -> None:
        super()._detach(channel)
        live = self.pod.hub.channels.get(channel)
        if live is not None:
            self._cursor.forget(live.name)


def _hears(transport: asyncio.Transport, *, within_s: float) -> bool:
    """Tell whether the peer's kernel has acknowledged everything that was sent, or something ``within_s``.

    What waits for a reader who takes nothing was not sent yet: the outbox minds that. Costs 3 µs.
    """
    plain = transport.get_extra_info("socket")
    if plain is None:
        return True
    info: tuple[int, ...] = _TCP_INFO.unpack(plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
    return info[_UNACKED] == 0 or info[_LAST_ACK_RECEIVED] <= within_s * 1000 + _JIFFIES_MS


def _give_up_after(transport: asyncio.Transport, seconds: float) -> None:
    plain = transport.get_extra_info("socket")
    if plain is not None:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
