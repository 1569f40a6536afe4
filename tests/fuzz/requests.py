"""HTTP as the front door reads it: heads, queries, bodies."""

from typing import Final

from tests.edge.peers import commands, poll, request, upgrade
from whimbrel.edge.shell import handshake
from whimbrel.edge.shell.asks import read_get, read_post
from whimbrel.edge.shell.eventstream import read_connect
from whimbrel.edge.shell.httpwire import Refusal, read_head
from whimbrel.protocol.limits import MAX_BODY_BYTES
from whimbrel.protocol.positions import Position, encode_cursor


def http(data: bytes) -> bool:
    """A head is read or refused, and so is what the front door makes of the request and its body."""
    head, end, body = data.partition(b"\r\n\r\n")
    try:
        asked, size = read_head(head + end)
        assert 0 <= size <= MAX_BODY_BYTES
        asked.body = body[:size]
        handshake.check_origin(asked, {"http://localhost:8000"})
        asked.bearer  # noqa: B018  # a property that parses
        match asked.path:
            case "/v1/ws":
                answer = handshake.read_upgrade(asked, deflate=True).accept().answer
                assert answer.count(b"\r\n\r\n") == 1
                assert answer.endswith(b"\r\n\r\n")
            case "/v1/sse":
                read_connect(asked)
            case _:
                read_get(asked) if asked.method == "GET" else read_post(asked.body)
    except Refusal as refusal:
        return _refused(refusal)
    return True


def poll_body(data: bytes) -> bool:
    try:
        read_post(data)
    except Refusal as refusal:
        return _refused(refusal)
    return True


CURSOR: Final = encode_cursor("alice", {"orders:1": Position(epoch="e", offset=7), "inbox": None})
REQUESTS: Final = [
    poll("token", {"orders:1": {"epoch": "e", "offset": 1}, "inbox": None}, wait=5, limit=3),
    commands("token", {"type": "history", "id": 1, "channel": "inbox"}),
    request("GET", f"/v1/poll?channel=orders:1&channel=inbox&cursor={CURSOR}&wait=0", authorization="Bearer t"),
    request("GET", "/v1/poll?wait=1.5&limit=10", if_none_match=f'"{CURSOR}"', origin="http://localhost:8000"),
    upgrade(sec_websocket_extensions="permessage-deflate; client_max_window_bits", authorization="Bearer t"),
    request("GET", "/v1/sse?channel=orders:1&ticket=abc", last_event_id=CURSOR),
    request("POST", "/v1/sse", b'{"type":"connect","id":1,"token":"t","channels":{"inbox":null}}'),
]
WORDS: Final = [
    *b"GET |POST |/v1/ws|/v1/poll|/v1/sse|?|%00|%FF|&cursor=|&channel=|&wait=|+|;|,|\r\n\r\n|\r\n".split(b"|"),
    *b" HTTP/1.1\r\n|Content-Length: |Transfer-Encoding: chunked\r\n|Connection: close\r\n|Origin: null\r\n".split(
        b"|"
    ),
    *b"Upgrade: websocket\r\n|Authorization: Bearer |Sec-WebSocket-Key: |Expect: 100-continue\r\n".split(b"|"),
]


def _refused(refusal: Refusal) -> bool:
    assert 400 <= refusal.status < 500
    return False
