"""One WebSocket: bytes in, the session's effects out as text messages."""

import asyncio
from typing import ClassVar, Final, assert_never

from whimbrel.edge.core.effects import Identified
from whimbrel.edge.core.hub import LiveChannel, Write
from whimbrel.edge.core.session import PING, PONG
from whimbrel.edge.shell.connection import Connection
from whimbrel.edge.shell.conversation import CLOSE_WAIT_S
from whimbrel.edge.shell.fanout import text_message
from whimbrel.edge.shell.inbound import (
    MASK_BYTES,
    Alive,
    Binary,
    Inlet,
    PeerClosed,
    Text,
    TooLarge,
    Violation,
    only_text,
)
from whimbrel.edge.shell.pod import Pod, wall
from whimbrel.protocol.bodies import Transport
from whimbrel.protocol.codes import CloseCode

_FIN_CLOSE: Final = 0x88
_PING_MESSAGE: Final = text_message(PING)
_PONG_BYTES: Final = len(text_message(PONG)) + MASK_BYTES


class WebSocket(Connection):
    """The server's side of one socket, after the upgrade."""

    __slots__ = ("_deflater", "_inlet", "_write")

    CARRIER: ClassVar[Transport] = "websocket"
    EOF_IS_GOODBYE: ClassVar[bool] = False

    def __init__(
        self, pod: Pod, transport: asyncio.Transport, presented: Identified | None, *, deflated: bool = False
    ) -> None:
        """``deflated``: permessage-deflate was agreed."""
        super().__init__(pod, transport, presented)
        self._inlet: Inlet | None = None  # for most clients never more than one whole text at a time comes
        self._deflater = pod.deflater if deflated else None
        self._write: Write = self._write_deflated if deflated else transport.write  # one object for all channels

    # Bytes in

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        try:
            self._take(data)
        except Exception as error:  # a fault of ours must cost one connection, not the loop
            self.pod.log.exception("connection.failed", error)
            self._failed()

    def _take(self, data: bytes) -> None:
        now = self.pod.now()
        counters, session = self.pod.counters, self.session
        if (  # as each silent client does every 25 s
            len(data) == _PONG_BYTES
            and self._inlet is None
            and only_text(data, _PONG_BYTES) == PONG
            and session.answered(_PONG_BYTES, now=now)
        ):
            counters.bytes_in += _PONG_BYTES
            counters.frames_in += 1
            self._schedule(now)
            return
        tally = session.tally
        counters.bytes_in += len(data)
        counters.frames_in -= tally.received
        if effects := session.received(len(data), now=now):
            self._perform(effects)
        text = only_text(data, self.pod.terms.frame_bytes) if self._inlet is None else None
        if text is not None and session.closed_with is None:
            if effects := session.receive(text, now=now, wall=wall()):
                self._perform(effects)
        else:
            self._take_events(data, now)
        counters.frames_in += tally.received
        if self._outbox is not None and self.transport.get_write_buffer_size() > self.pod.settings.outbox_bytes:
            self.transport.pause_reading()  # who does not read our answers asks nothing more

    def _take_events(self, data: bytes, now: float) -> None:
        """Take whatever is not one whole text."""
        if self._inlet is None:
            self._inlet = Inlet(self.pod.terms.frame_bytes, deflated=self._deflater is not None)
        answers: list[bytes] = []  # to pings in a row, in one write: a flood of them costs one system call
        for event in self._inlet.feed(data):
            if self.session.closed_with is CloseCode.RATE_LIMITED:  # who floods is not read to the end
                self.transport.pause_reading()
                return
            if answers and not isinstance(event, Alive):
                self._answer(answers)
            match event:
                case Text(payload):
                    self._perform(self.session.receive(payload, now=now, wall=wall()))
                case Binary():
                    why = "a binary message: frames are text"
                    self._perform(self.session.close(CloseCode.PROTOCOL_ERROR, why))
                case Alive(answer):
                    self._perform(self.session.alive(now=now))
                    if answer:
                        answers.append(answer)
                case PeerClosed(answer):
                    self._peer_closed(answer)
                case TooLarge():
                    limit = self.pod.terms.frame_bytes
                    self._perform(self.session.close(CloseCode.FRAME_TOO_LARGE, f"a frame has at most {limit} bytes"))
                case Violation(what):
                    self._perform(self.session.close(CloseCode.PROTOCOL_ERROR, what))
                case _:
                    assert_never(event)
        if answers:
            self._answer(answers)

    def _answer(self, pongs: list[bytes]) -> None:
        if not self._closing:
            self.transport.write(b"".join(pongs))
        pongs.clear()

    def _peer_closed(self, answer: bytes) -> None:
        if not self._closing:
            self._perform(self.session.lost())  # nothing may follow our close frame (RFC 6455 §5.5.1)
            self._closing = True
            self.transport.write(answer)
            self.pod.wheel.schedule(self, self.pod.now() + CLOSE_WAIT_S)
        self.transport.close()

    # Bytes out

    def _send(self, message: bytes) -> None:
        data = _PING_MESSAGE if message is PING else text_message(message)
        self.pod.counters.bytes_out += len(data)
        self._write(data)

    def _write_deflated(self, data: bytes) -> None:
        assert self._deflater is not None
        self.transport.write(self._deflater.compress(data))

    def _say_end(self, code: CloseCode) -> None:
        reason = code.slug.encode()
        self.transport.write(bytes((_FIN_CLOSE, 2 + len(reason))) + int(code).to_bytes(2, "big") + reason)

    def _join(self, live: LiveChannel) -> bool:
        return live.join(self, self._write)
