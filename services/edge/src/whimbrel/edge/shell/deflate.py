"""permessage-deflate (RFC 7692) as far as it costs little: no memory per connection, one compression per message.

Neither side keeps its window from one message to the next (`no_context_takeover`), so the same compressed bytes serve
every subscriber who agreed to it, and a connection holds no compressor: zlib's usual settings hold 24–50 KiB for each.
Compressing costs 8 µs for a publication of 250 bytes and 11 µs for eight of them joined, however many subscribers
there are, and leaves 75 % and 27 % of the bytes. What comes in is inflated by the library, never beyond the limit.
"""

import zlib
from typing import Final

from websockets.exceptions import InvalidHeaderFormat, NegotiationError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.headers import build_extension, parse_extension

from whimbrel.edge.shell.fanout import text_message
from whimbrel.runtime.metrics import Metrics

WINDOW_BITS: Final = 12  # 4 KiB: a longer window saves next to nothing on messages of this size
MEMORY_LEVEL: Final = 5  # 16 KiB of hash table, while a message is being compressed
LEVEL: Final = 1  # 6 costs twice as much for a tenth less
MIN_BYTES: Final = 128  # below, a message shrinks by a handful of bytes
_FACTORY: Final = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True, client_no_context_takeover=True, server_max_window_bits=WINDOW_BITS
)
_EMPTY_BLOCK: Final = b"\x00\x00\xff\xff"  # ends each message and is not sent (RFC 7692 §7.2.1)
_COMPRESSED: Final = 0x40  # RSV1


def agree(offers: list[str]) -> str | None:
    """Return the value of our Sec-WebSocket-Extensions for the client's, None where no offer suits.

    An offer of a smaller window than ours does not: its bytes could not be shared.
    """
    for header in offers:
        try:
            extensions = parse_extension(header)
        except InvalidHeaderFormat:
            continue
        for name, parameters in extensions:
            if name != PerMessageDeflate.name:
                continue
            try:
                answer, agreed = _FACTORY.process_request_params(parameters, [])
            except NegotiationError:
                continue
            if agreed.local_max_window_bits == WINDOW_BITS:
                return build_extension([(name, answer)])
    return None


def inflater() -> PerMessageDeflate:
    """Return what the library needs to read compressed messages of one client."""
    return PerMessageDeflate(True, True, zlib.MAX_WBITS, WINDOW_BITS)


class Deflater:
    """Compresses messages; the same one again (by identity) costs a comparison."""

    __slots__ = ("_compressed", "_message", "sizes")

    def __init__(self) -> None:
        self._message = b""
        self._compressed = b""
        # Bytes of all messages, each counted once.
        self.sizes: dict[tuple[str, ...], int] = {("plain",): 0, ("compressed",): 0}

    def expose(self, metrics: Metrics) -> None:
        """Publish what compression saves."""
        metrics.labelled(
            "whimbrel_edge_deflate_bytes_total",
            "Bytes of messages before and after compression, each message once.",
            "counter",
            ("form",),
            lambda: self.sizes,
        )

    def compress(self, message: bytes) -> bytes:
        """Return ``message``, a whole unmasked data frame, compressed; as it is where that is
        no longer.
        """
        if message is not self._message:
            self._message, self._compressed = message, _compress(message)
            self.sizes["plain",] += len(message)
            self.sizes["compressed",] += len(self._compressed)
        return self._compressed


def _compress(message: bytes) -> bytes:
    start = {126: 4, 127: 10}.get(message[1], 2)
    if len(message) - start < MIN_BYTES:
        return message
    deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)
    payload = (deflate.compress(message[start:]) + deflate.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_EMPTY_BLOCK)
    if len(payload) >= len(message) - start:
        return message
    return bytes((message[0] | _COMPRESSED,)) + text_message(payload)[1:]
