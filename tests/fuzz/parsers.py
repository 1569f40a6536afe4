"""Every parser that reads what strangers send."""

from collections.abc import Mapping
from typing import Final

from tests.fuzz import bus, contract, requests, websockets
from tests.fuzz.parser import JSON_WORDS, Parser, vectors

_NAMES: Final = [*vectors("channels.json", "text", "token", "channel", "pattern"), b"orders:42", b"inbox"]
_CURSORS: Final = [requests.CURSOR.encode(), f'W/"{requests.CURSOR}"'.encode(), *vectors("positions.json", "cursor")]
_BODIES: Final = [each.partition(b"\r\n\r\n")[2] for each in requests.REQUESTS if b"channels" in each]
_MESSAGES: Final = vectors("client-frames.json", "message") + vectors("json.json", "message")

PARSERS: Final[Mapping[str, Parser]] = {
    "websocket": Parser(websockets.FRAMES, websockets.HEADS, websockets.websocket),
    "websocket, compressed": Parser(
        [*websockets.COMPRESSED, *websockets.FRAMES], websockets.HEADS, websockets.websocket_deflated
    ),
    "http": Parser(requests.REQUESTS, requests.WORDS, requests.http),
    "poll bodies": Parser(_BODIES, JSON_WORDS, requests.poll_body),
    "frames of clients": Parser(_MESSAGES, JSON_WORDS, contract.client_frames),
    "frames of the edge": Parser(vectors("edge-frames.json", "message"), JSON_WORDS, contract.edge_frames),
    "channels": Parser(_NAMES, [b":", b"orders", b"user", b"group", b"$", b"*"], contract.channel),
    "cursors": Parser(_CURSORS, [b"2.", b"."], contract.cursor),
    "resume grants": Parser([contract.GRANT.encode()], [b".", b"k1", b"k1.", b"=", b"=="], contract.resume_grant),
    "bus protocol": Parser(
        bus.BUS, [b"MSG ", b"HMSG ", b"live.orders.1 ", b"\r\n", b"NATS/1.0\r\n", b"PING\r\n"], bus.bus_protocol
    ),
    "bus headers": Parser(
        bus.HEADERS, [b"\r\nNats-Sequence:", b"\r\ntraceparent:", b"\r\n", bus.TRACEPARENT], bus.bus_headers
    ),
    "publication bodies": Parser([bus.BODY, *vectors("publications.json", "body")], JSON_WORDS, bus.publication),
    "domain events": Parser(bus.EVENTS, [b"ce-id: ", b"ce-time: ", b"\r\n\r\n", b"\r\n", *JSON_WORDS], bus.event),
}
