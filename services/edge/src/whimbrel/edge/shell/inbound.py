"""WebSocket messages from a client's bytes (RFC 6455).

Plain text, ping, pong and close frames are parsed here: 0.6 µs each, and no object per connection. With the first
frame that is anything else (a fragment, a reserved bit, another opcode, a missing mask, a close with a reason) the
connection's bytes go to the Sans-I/O protocol of ``websockets`` from then on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame as LibraryFrame
from websockets.frames import Opcode, apply_mask  # type: ignore[attr-defined]  # the C one, where there is one
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from whimbrel.edge.shell.deflate import inflater

_FIN_TEXT: Final = 0x81
_FIN_CLOSE: Final = 0x88
_FIN_PING: Final = 0x89
_FIN_PONG: Final = 0x8A
_PLAIN: Final = frozenset({_FIN_TEXT, _FIN_CLOSE, _FIN_PING, _FIN_PONG})
_PLAIN_CLOSES: Final = frozenset({b"", (1000).to_bytes(2, "big"), (1001).to_bytes(2, "big")})  # what browsers send
_MASKED: Final = 0x80
MASK_BYTES: Final = 4
_SLICE: Final = 4096  # bytes given to the library at a time: at most 680 frames, 3 ms


@dataclass(frozen=True, slots=True)
class Text:
    """A whole message. Its UTF-8 is checked by whoever reads the JSON."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Binary:
    """A whole binary message: legal in a WebSocket, but no frame of the contract."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Alive:
    """A ping, a pong or a fragment; ``answer`` is the frame to write back, empty where none is due."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """A close frame; ``answer`` echoes it."""

    answer: bytes


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A message over the limit; nothing after it is read."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that RFC 6455 forbids, and what; nothing after it is read."""

    what: str


Inbound = Text | Binary | Alive | PeerClosed | TooLarge | Violation


class _Library(ServerProtocol):
    def recv_frame(self, frame: LibraryFrame) -> None:
        """Take a close frame in the middle of a message too: the library calls it a violation, but a control frame may
        stand there (RFC 6455 §5.4), and after it nobody waits for the rest (§1.4).
        """
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


def only_text(data: bytes, limit: int) -> bytes | None:
    """Return the payload where ``data`` is one whole masked text frame and nothing else, as most reads are; None
    otherwise, and where it is over ``limit`` bytes.
    """
    size = len(data) - 6
    if size < 0 or data[0] != _FIN_TEXT:
        return None
    told = data[1] ^ _MASKED
    if told < 126:
        return apply_mask(data[6:], data[2:6]) if told == size else None
    size -= 2
    if told != 126 or size < 0 or size > limit or int.from_bytes(data[2:4], "big") != size:
        return None
    return apply_mask(data[8:], data[4:8])


class Inlet:
    """The inbound half of one connection. ``limit``: bytes of the largest message taken, inflated; ``deflated``:
    permessage-deflate was agreed.
    """

    __slots__ = ("_binary", "_buffer", "_deflated", "_ended", "_fragments", "_library", "_limit")

    def __init__(self, limit: int, *, deflated: bool = False) -> None:
        self._limit = limit
        self._deflated = deflated
        self._buffer = b""
        self._ended = False
        self._library: _Library | None = None
        self._binary = False  # the message of which the fragments are
        self._fragments: bytearray | None = None  # one buffer: an object per fragment would cost forty times its byte

    def feed(self, data: bytes) -> Iterator[Inbound]:
        """Yield what ``data`` completes, in order; take all of it. At most ``limit`` and one frame header stay
        buffered.
        """
        if self._ended:
            return
        if self._library is not None:
            yield from self._feed_library(data)
            return
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(buffer) - at >= 2:
            first, second = buffer[at], buffer[at + 1]
            size = second & 0x7F
            plain = first in _PLAIN and second & _MASKED and size != 127 and (first == _FIN_TEXT or size <= 125)
            if not plain:
                yield from self._hand_over(buffer[at:])
                return
            start = at + 6
            if size == 126:
                if len(buffer) - at < 4:
                    break
                size = int.from_bytes(buffer[at + 2 : at + 4], "big")
                start = at + 8
            if size > self._limit:
                self._ended = True
                yield TooLarge()
                return
            end = start + size
            if len(buffer) < end:
                break
            payload = apply_mask(buffer[start:end], buffer[start - 4 : start]) if size else b""
            if first == _FIN_CLOSE and payload not in _PLAIN_CLOSES:
                yield from self._hand_over(buffer[at:])
                return
            at = end
            if first == _FIN_TEXT:
                yield Text(payload)
            elif first == _FIN_PING:
                yield Alive(_control(_FIN_PONG, payload))
            elif first == _FIN_PONG:
                yield Alive(b"")
            else:
                self._ended = True
                yield PeerClosed(_control(_FIN_CLOSE, payload))
                return
        self._buffer = buffer[at:]

    def _hand_over(self, rest: bytes) -> Iterator[Inbound]:
        self._buffer = b""
        self._library = _Library(state=OPEN, max_size=self._limit)
        if self._deflated:
            self._library.extensions = [inflater()]
        yield from self._feed_library(rest)

    def _feed_library(self, data: bytes) -> Iterator[Inbound]:
        for at in range(0, len(data), _SLICE):  # whoever reads the events may stop in the middle of a flood
            yield from self._feed_slice(data[at : at + _SLICE])
            if self._ended:
                return

    def _feed_slice(self, data: bytes) -> Iterator[Inbound]:
        library = self._library
        assert library is not None
        library.receive_data(data)
        library.data_to_send()  # what it would answer: we answer in our turn, in order with the messages
        for event in library.events_received():
            assert isinstance(event, LibraryFrame)
            match event.opcode:
                case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                    yield self._collect(event)
                case Opcode.PING:
                    yield Alive(_control(_FIN_PONG, bytes(event.data)))
                case Opcode.PONG:
                    yield Alive(b"")
                case Opcode.CLOSE:
                    self._ended = True
                    yield PeerClosed(_control(_FIN_CLOSE, bytes(event.data)))
                    return
        if library.parser_exc is not None:
            self._ended = True
            big = isinstance(library.parser_exc, PayloadTooBig)
            yield TooLarge() if big else Violation(str(library.parser_exc) or "a malformed WebSocket frame")

    def _collect(self, frame: LibraryFrame) -> Inbound:
        if self._fragments is None:
            self._fragments = bytearray()
            self._binary = frame.opcode is Opcode.BINARY
        self._fragments += frame.data
        if not frame.fin:
            return Alive(b"")
        whole, self._fragments = bytes(self._fragments), None
        return Binary(whole) if self._binary else Text(whole)


def _control(first: int, payload: bytes) -> bytes:
    return bytes((first, len(payload))) + payload
