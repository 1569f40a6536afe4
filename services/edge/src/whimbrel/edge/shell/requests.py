"""Requests that need the bus: publish, ack, history, inbox, presence. The same for every transport; permission was
checked before.
"""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Final, assert_never

import pydantic_core

from whimbrel.edge.core.effects import Request
from whimbrel.edge.core.hub import Hub
from whimbrel.edge.core.replies import error_frame, history_frame
from whimbrel.edge.shell.bus import Bus
from whimbrel.edge.shell.inboxes import Inboxes
from whimbrel.edge.shell.readmarks import ReadMarks
from whimbrel.edge.shell.streams import TROUBLE
from whimbrel.edge.shell.tracing import Tracing
from whimbrel.protocol import subjects
from whimbrel.protocol.channels import USER_NAMESPACE, Channel
from whimbrel.protocol.codes import ErrorCode
from whimbrel.protocol.errors import Refused
from whimbrel.protocol.frames import Ack, History, Inbox, Ok, Presence, Publish, encode
from whimbrel.protocol.publications import MSG_ID, TRACEPARENT, encode_body
from whimbrel.protocol.rpc import Acked, ReadMark
from whimbrel.runtime import jetstream
from whimbrel.runtime.logs import Logger
from whimbrel.runtime.nats import Connection

RETRY_MS: Final = 1000


class Requests:
    """Carries out requests and returns the frame that answers them."""

    def __init__(
        self, hub: Hub, bus: Bus, marks: ReadMarks, connection: Connection, tracing: Tracing, log: Logger
    ) -> None:
        self._hub = hub
        self._bus = bus
        self._marks = marks
        self._inboxes = Inboxes(hub, bus.streams, marks)
        self._connection = connection
        self._tracing = tracing
        self._log = log

    async def answer(self, frame: Request, channel: Channel, *, user: str, session: str, durable: bool) -> bytes | None:
        """Return the reply to ``frame``: `ok` or `error`; None for an ack without an `id`."""
        try:
            match frame:
                case Publish():
                    return await self._publish(frame, channel, user, durable)
                case Ack():
                    return await self._ack(frame, channel, user, session, durable)
                case History():
                    return await self._history(frame, channel, durable)
                case Inbox():
                    return b'{"type":"ok","id":%d,%b}' % (frame.id, await self._inboxes.answer(frame, channel, user))
                case Presence():
                    raise Refused(ErrorCode.UNAVAILABLE, "presence is not kept yet")
                case _:
                    assert_never(frame)
        except Refused as refusal:
            return error_frame(refusal, frame.id)
        except TROUBLE as error:
            self._log.warning("request.failed", request=frame.type, channel=str(channel), error=str(error))
            unavailable = Refused(ErrorCode.UNAVAILABLE, "the bus does not answer; try again", retry_ms=RETRY_MS)
            return error_frame(unavailable, frame.id)

    async def _publish(self, frame: Publish, channel: Channel, user: str, durable: bool) -> bytes:
        event_id = frame.key or uuid.uuid4().hex
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = encode_body(frame.event, event_id, now, pydantic_core.to_json(frame.data))
        with self._tracing.publishing(channel.namespace) as traceparent:
            headers = {} if traceparent is None else {TRACEPARENT: traceparent}
            if not durable:
                await self._connection.publish(subjects.live_subject(channel), body, headers=headers)
                return encode(Ok(id=frame.id))
            headers[MSG_ID] = _message_id(user, channel, event_id)
            ack = await jetstream.publish(self._connection, subjects.publish_subject(channel), body, headers)
            return encode(Ok(id=frame.id, offset=ack.seq))

    async def inbox(self, frame: Inbox, channel: Channel, user: str) -> bytes:
        """Return the JSON members of the answer to ``frame``. Raises Refused."""
        try:
            return await self._inboxes.answer(frame, channel, user)
        except TROUBLE as error:
            self._log.warning("request.failed", request=frame.type, channel=str(channel), error=str(error))
            raise Refused(ErrorCode.UNAVAILABLE, "the bus does not answer; try again", retry_ms=RETRY_MS) from None

    async def _ack(self, frame: Ack, channel: Channel, user: str, session: str, durable: bool) -> bytes | None:
        if not durable:
            raise Refused(ErrorCode.BAD_REQUEST, f"{frame.channel} keeps no history: there is nothing to acknowledge")
        if frame.offset > await self._end_of(channel):  # it would hide what has yet to come
            raise Refused(ErrorCode.BAD_REQUEST, f"{frame.channel} has not reached offset {frame.offset} yet")
        epoch = self._bus.streams.epoch(channel)
        self._marks.move(user, channel, ReadMark(epoch=epoch, offset=frame.offset))
        told = Acked(channel=str(channel), epoch=epoch, offset=frame.offset, session=session)
        self._connection.send(subjects.user_subject(user), told.model_dump_json().encode())
        return None if frame.id is None else encode(Ok(id=frame.id, offset=frame.offset))

    async def _end_of(self, channel: Channel) -> int:
        live = self._hub.channels.get(channel)
        if live is not None and live.ring is not None:
            return max(live.newest, live.ring.head)
        # Not by the channel's newest publication: a replica that lags would not know of what the client has seen.
        return (await self._bus.streams.bounds(channel)).last

    async def _history(self, frame: History, channel: Channel, durable: bool) -> bytes:
        if not durable:
            raise Refused(ErrorCode.UNRECOVERABLE, f"{frame.channel} keeps no history")
        streams = self._bus.streams
        if channel.namespace == USER_NAMESPACE:
            return history_frame(frame.id, streams.epoch(channel), await self._inboxes.history(frame, channel))
        if frame.after is not None and frame.before is not None:
            found = [
                each for each in await streams.after(channel, frame.after, frame.limit) if each.offset < frame.before
            ]
        elif frame.after is not None:
            found = await streams.after(channel, frame.after, frame.limit)
        elif frame.before is not None:
            found = await streams.before(channel, frame.before, frame.limit)
        else:
            found = await streams.newest(channel, frame.limit)
        return history_frame(frame.id, streams.epoch(channel), found)


def _message_id(user: str, channel: Channel, key: str) -> str:
    # Hashed: a user's key must not collide with another user's, nor be chosen to suppress an event of the notifier.
    return "client-" + hashlib.sha256(f"{user}\0{channel}\0{key}".encode()).hexdigest()[:40]
