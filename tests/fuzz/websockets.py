"""WebSocket: the same messages and the same end as the library, however the bytes are cut."""

import zlib
from itertools import pairwise
from typing import Final

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from tests.edge.peers import BINARY, CLOSE, PING, PONG, TEXT, masked, message
from whimbrel.edge.shell.deflate import inflater
from whimbrel.edge.shell.inbound import Alive, Binary, Inlet, PeerClosed, Text, TooLarge

LIMIT: Final = 1000  # bytes of a message here, so that it is met


def cut(data: bytes) -> list[bytes]:
    """Cut ``data`` in places that depend on nothing but itself."""
    sum_ = zlib.crc32(data)
    marks = sorted({0, len(data), *(sum_ >> shift & 0x3FF for shift in range(0, sum_ % 30, 10))})
    return [data[start:end] for start, end in pairwise(mark for mark in marks if mark <= len(data))]


def by_us(data: bytes, *, deflated: bool) -> tuple[list[tuple[str, bytes]], bytes]:
    """Return messages, the end, and the pongs."""
    inlet = Inlet(LIMIT, deflated=deflated)
    seen: list[tuple[str, bytes]] = []
    pongs = b""
    for part in cut(data):
        for event in inlet.feed(part):
            match event:
                case Text(payload):
                    seen.append(("text", payload))
                case Binary(payload):
                    seen.append(("binary", payload))
                case Alive(answer):
                    pongs += answer
                case TooLarge():
                    seen.append(("too large", b""))
                case PeerClosed():
                    seen.append(("closed", b""))
                case _:
                    seen.append(("violation", b""))
    return seen, pongs


class _Reference(ServerProtocol):
    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


def by_the_library(data: bytes, *, deflated: bool) -> tuple[list[tuple[str, bytes]], bytes]:
    """Return the same of ``websockets``, which sees ``data`` in one piece."""
    library = _Reference(state=OPEN, max_size=LIMIT)
    if deflated:
        library.extensions = [inflater()]
    library.receive_data(data)
    seen: list[tuple[str, bytes]] = []
    kind, whole, pongs = "", b"", b""
    for frame in library.events_received():
        assert isinstance(frame, Frame)
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                if frame.opcode is not Opcode.CONT:
                    kind = "text" if frame.opcode is Opcode.TEXT else "binary"
                whole += bytes(frame.data)
                if frame.fin:
                    seen.append((kind, whole))
                    whole = b""
            case Opcode.PING:
                pongs += bytes((0x8A, len(frame.data))) + bytes(frame.data)
            case Opcode.CLOSE:
                return [*seen, ("closed", b"")], pongs
    if library.parser_exc is not None:
        large = type(library.parser_exc).__name__ == "PayloadTooBig"
        seen.append(("too large" if large else "violation", b""))
    return seen, pongs


def websocket(data: bytes) -> bool:
    ours, theirs = by_us(data, deflated=False), by_the_library(data, deflated=False)
    assert ours == theirs, (ours, theirs)
    return not any(kind == "violation" for kind, _ in ours[0])


def websocket_deflated(data: bytes) -> bool:
    ours, theirs = by_us(data, deflated=True), by_the_library(data, deflated=True)
    assert ours == theirs, (ours, theirs)
    return not any(kind == "violation" for kind, _ in ours[0])


def _deflated(payload: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -12)
    return (deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


FRAMES: Final = [
    message({"type": "ping"}),
    masked(b"one", TEXT, fin=False) + masked(b"!", PING) + masked(b"two", 0),
    masked(b"\x03\xe8bye", CLOSE),
    masked(b"x" * 125, PONG) + masked(b"", BINARY),
    masked(b"x" * 126),
    masked(b"y" * LIMIT),
    b"".join(masked(bytes((number,)) * number, mask=bytes(4)) for number in range(20)),
]
COMPRESSED: Final = [
    masked(_deflated(b'{"type":"ping"}' * 9), TEXT | 0x40),
    masked(_deflated(b"x" * LIMIT), TEXT | 0x40),
    masked(_deflated(b"\0" * 100_000), TEXT | 0x40),
    masked(_deflated(b"hello")[:3], TEXT | 0x40, fin=False) + masked(_deflated(b"hello")[3:], 0),
]
HEADS: Final = [b"\x81\x80", b"\x01\x80", b"\x80\x80", b"\x00\x80", b"\x88\x80", b"\x89\x80", b"\x8a\x80", b"\xc1\x80",
                b"\x81\xfe", b"\x81\xff", b"\x00\x00\x00\x00", b"\x03\xe8"]  # fmt: skip
